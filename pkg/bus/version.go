package bus

import (
	"fmt"
	"strconv"
	"strings"
)

// ServerVersionMin is the oldest nats-server that has what this project needs (atomic batches).
const ServerVersionMin = "2.12.0"

// serverVersionGood is the first version without known losses of data.
const serverVersionGood = "2.14.4"

// checkServerVersion refuses versions below ServerVersionMin. A version that cannot be read passes: it may be a
// development build.
func checkServerVersion(version string) error {
	if versionLess(version, ServerVersionMin) {
		return fmt.Errorf("%w: it is version %s; install nats-server %s or newer", ErrOldServer, version, serverVersionGood)
	}
	return nil
}

// versionLess compares "major.minor.patch", whatever follows. A version that cannot be read is not less.
func versionLess(a, b string) bool {
	left, okLeft := versionNumbers(a)
	right, okRight := versionNumbers(b)
	if !okLeft || !okRight {
		return false
	}
	for i := range left {
		if left[i] != right[i] {
			return left[i] < right[i]
		}
	}
	return false
}

func versionNumbers(version string) (numbers [3]int, ok bool) {
	core, _, _ := strings.Cut(strings.TrimPrefix(version, "v"), "-")
	parts := strings.Split(core, ".")
	if len(parts) < 2 {
		return numbers, false
	}
	for i := range min(len(parts), 3) {
		n, err := strconv.Atoi(parts[i])
		if err != nil {
			return numbers, false
		}
		numbers[i] = n
	}
	return numbers, true
}
