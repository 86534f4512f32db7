package spec

import "testing"

func TestClassRequiring(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		class    string
		requires map[string]string
		want     string
	}{
		{"gpu", nil, "gpu"}, {"gpu", map[string]string{"zone": "a"}, "gpu[zone=a]"},
		{"gpu", map[string]string{"zone": "a", "disk": "x=y"}, "gpu[disk=x=y,zone=a]"},
	} {
		got := ClassRequiring(row.class, row.requires)
		if got != row.want || BaseClass(got) != row.class {
			t.Errorf("%s with %v is %q, of base %q", row.class, row.requires, got, BaseClass(got))
		}
	}
	for class, want := range map[string]bool{
		"gpu": true, "gpu[zone=a]": true, "gpu[disk=x=y,zone=a]": true, "gpu[zone=b]": false, "gpu[zone=a,rack=1]": false,
		"odd[": true, "[zone=b]": true, "gpu[]": true,
	} {
		if ClassMatches(class, []string{"zone=a", "disk=x=y"}) != want {
			t.Errorf("class %q: not %v", class, want)
		}
	}
	for label, want := range map[string]bool{"a=b": true, "a=b=c": true, "a": false, "=b": false, "a=": false, "a=b,c": false, "a=[": false} {
		if LabelValid(label) != want {
			t.Errorf("label %q: not %v", label, want)
		}
	}
}
