package cli

import (
	"errors"
	"fmt"
	"maps"
	"testing"

	"github.com/spf13/cobra"

	"autoresearch/pkg/bus"
)

func TestSlots(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		values []string
		want   map[string]int
	}{
		{[]string{"4"}, map[string]int{"cpu": 4}},
		{[]string{"cpu=2", "h100x1=8"}, map[string]int{"cpu": 2, "h100x1": 8}},
		{[]string{"1", "cpu=2"}, map[string]int{"cpu": 3}},
		{[]string{"0"}, nil}, {[]string{"-1"}, nil}, {[]string{"cpu="}, nil}, {[]string{"2x"}, nil}, {[]string{"many"}, nil},
	} {
		got, err := Slots(test.values, "cpu")
		if (err != nil) != (test.want == nil) || err == nil && !maps.Equal(got, test.want) {
			t.Errorf("%v: %v, %v; want %v", test.values, got, err, test.want)
		}
	}
}

func TestCheckLoopback(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]bool{
		"127.0.0.1:1": true, "[::1]:1": true, "localhost:1": true, "127.9.9.9:1": true,
		"0.0.0.0:1": false, ":1": false, "10.0.0.5:1": false, "[::]:1": false, "example.com:1": false, "nonsense": false,
	} {
		if err := CheckLoopback(address); (err == nil) != want {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestListenAsksForCredentialsBeyondLoopback(t *testing.T) {
	t.Parallel()
	f := ListenFlags{Address: "0.0.0.0:4222"}
	if server, err := f.Start(t.TempDir(), nil); err == nil {
		t.Errorf("it listens for everybody: %v", errors.Join(server.Shutdown()))
	}
	f.Open = true
	if err := f.credentials(&bus.EmbeddedOptions{}); err != nil {
		t.Errorf("it was told to listen for everybody: %v", err)
	}
	f.Credentials, f.User = "auth", "u"
	if err := f.credentials(&bus.EmbeddedOptions{}); err == nil {
		t.Error("it takes two kinds of credentials")
	}
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	for want, err := range map[int]error{
		0: nil, ExitError: errors.New("any"), ExitUsage: fmt.Errorf("wrapped: %w", Exit(ExitUsage, errors.New("usage"))),
		130: Exit(130, nil),
	} {
		cmd := &cobra.Command{Use: "x", RunE: func(*cobra.Command, []string) error { return err }}
		cmd.SetArgs([]string{})
		if got := Main(cmd); got != want {
			t.Errorf("%v: exit code %d, want %d", err, got, want)
		}
	}
}

func TestWorkdirThatNamesNoWorkflow(t *testing.T) {
	t.Parallel()
	if _, err := ChooseWorkflow(t.Context(), Registry(), "", nil, t.TempDir()); err == nil {
		t.Error("an empty workdir named a workflow")
	}
}
