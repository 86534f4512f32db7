package bus

import (
	"errors"
	"fmt"
	"testing"

	"github.com/nats-io/nats.go"
)

func TestPassing(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]bool{
		nil: false, errors.New("other"): false, ErrMissing: false, ErrConflict: false, ErrGap: false,
		&APIError{Status: 400, Code: codeStreamCreate}: false, &APIError{Status: 503, Code: 10008}: true,
		ErrAmbiguous: true, nats.ErrNoResponders: true, nats.ErrReconnectBufExceeded: true, errDisconnected: true,
	} {
		if err != nil {
			err = fmt.Errorf("look at stream X: %w", err)
		}
		if got := Passing(err); got != want {
			t.Errorf("%v: %t", err, got)
		}
	}
}
