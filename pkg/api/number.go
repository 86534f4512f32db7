package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Number is a number of JSON that may also be one of the strings "NaN", "Infinity" and "-Infinity".
type Number float64

// MarshalJSON writes a number, or one of the three strings.
func (n Number) MarshalJSON() ([]byte, error) {
	switch f := float64(n); {
	case math.IsNaN(f):
		return []byte(`"NaN"`), nil
	case math.IsInf(f, 1):
		return []byte(`"Infinity"`), nil
	case math.IsInf(f, -1):
		return []byte(`"-Infinity"`), nil
	default:
		return json.Marshal(f)
	}
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (n *Number) UnmarshalJSON(b []byte) error {
	text := string(b)
	if bytes.HasPrefix(b, []byte(`"`)) {
		if text = strings.Trim(text, `"`); text != "NaN" && text != "Infinity" && text != "-Infinity" {
			return fmt.Errorf("%s is no number", b)
		}
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return fmt.Errorf("%s is no number", b)
	}
	*n = Number(f)
	return nil
}

// String returns the number as people read it.
func (n Number) String() string { return strconv.FormatFloat(float64(n), 'g', -1, 64) }

// numbers returns metrics as Numbers; nil when there are none.
func numbers(metrics map[string]float64) map[string]Number {
	if len(metrics) == 0 {
		return nil
	}
	converted := make(map[string]Number, len(metrics))
	for name, value := range metrics {
		converted[name] = Number(value)
	}
	return converted
}
