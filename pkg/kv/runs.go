package kv

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// RunEntry is a run as the registry keeps it: all that a coordinator must know to lead it.
type RunEntry struct {
	Version int          `json:"version"`
	Name    spec.RunName `json:"name"`
	// ID tells a run from one of the same name that was deleted before it; it is random.
	ID string `json:"id"`
	// Workflow is the text of the workflow file, Args are changes of it as key=value.
	Workflow string   `json:"workflow"`
	Args     []string `json:"args,omitempty"`
	// Dir is where the workflow's commands run, on every worker; an absolute path.
	Dir string `json:"dir,omitempty"`
	// Budget is the cap on experiments at once; 0: what the workflow says.
	Budget int `json:"budget,omitempty"`
	// Weight is the run's part of the slots that it shares with others; above 0.
	Weight float64 `json:"weight"`
	// Archived says that nobody leads the run; what it did is kept.
	Archived bool `json:"archived,omitempty"`
	// CreatedBy and CreatedAt say who registered the run, ChangedBy and ChangedAt who changed, archived or took it up again last,
	// and Reason why.
	CreatedBy string    `json:"created_by,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	ChangedBy string    `json:"changed_by,omitempty"`
	ChangedAt time.Time `json:"changed_at,omitzero"`
	Reason    string    `json:"reason,omitempty"`

	// Revision is the entry's place in the registry: what Put must name to replace it.
	Revision uint64 `json:"-"`
	// unknown holds fields written by a newer version, kept on a rewrite.
	unknown map[string]json.RawMessage
}

// RunEntryVersion is the version this build writes.
const RunEntryVersion = 1

// ErrTaken: the registry has changed since the entry was read, or has a run of the name.
var ErrTaken = errors.New("the run was registered or changed by somebody else")

// runsTimeout is how long a Put waits for the server's word.
const runsTimeout = 5 * time.Second

// Runs is the registry of runs that any coordinator may lead. It is safe for concurrent use.
type Runs struct {
	stream *bus.Stream
	prefix string
}

// NewRuns returns the registry; Ensure creates it. For a bucket that exists, 0 replicas keep what it has.
func NewRuns(c *bus.Conn, replicas int) *Runs {
	return &Runs{
		stream: runsBucket(c, bus.BucketRuns, "the runs that coordinators serve", replicas),
		prefix: bucketSubjectPrefix + bus.BucketRuns + ".",
	}
}

// runsBucket is the stream of a bucket with one value for each run.
func runsBucket(c *bus.Conn, bucket, holds string, replicas int) *bus.Stream {
	return bus.NewStream(c, jetstream.StreamConfig{
		Name:              bucketStreamPrefix + bucket,
		Description:       "autoresearch: " + holds,
		Subjects:          []string{bucketSubjectPrefix + bucket + ".>"},
		Retention:         jetstream.LimitsPolicy,
		Storage:           jetstream.FileStorage,
		Discard:           jetstream.DiscardNew,
		MaxMsgsPerSubject: 1,
		AllowRollup:       true,
		Replicas:          replicas,
	})
}

// Ensure creates the bucket unless it exists.
func (r *Runs) Ensure(ctx context.Context) error {
	_, err := r.stream.Ensure(ctx)
	return err
}

func (r *Runs) subject(name spec.RunName) string { return r.prefix + spec.EncodeName(string(name)) }

// Get returns a run's entry. Without one the error is bus.ErrMissing, and the entry's Revision what Put must name.
func (r *Runs) Get(ctx context.Context, name spec.RunName) (RunEntry, error) {
	return r.get(ctx, r.subject(name))
}

func (r *Runs) get(ctx context.Context, subject string) (RunEntry, error) {
	m, err := r.stream.GetLast(ctx, subject)
	if err != nil {
		return RunEntry{}, fmt.Errorf("the registry of runs: %w", err)
	}
	if m.Header.Get(headerOperation) != "" {
		return RunEntry{Revision: m.Seq}, fmt.Errorf("the registry of runs: the run was deleted: it %w", bus.ErrMissing)
	}
	entry, err := decodeRunEntry(m.Data)
	if err != nil {
		return RunEntry{}, fmt.Errorf("the registry of runs: %s: %w", strings.TrimPrefix(subject, r.prefix), err)
	}
	entry.Revision = m.Seq
	return entry, nil
}

// Put writes an entry in place of the one with its Revision, 0 for none; ErrTaken when another is there. It returns the
// new revision.
func (r *Runs) Put(ctx context.Context, e RunEntry) (uint64, error) {
	data, err := encodeRunEntry(e)
	if err != nil {
		return 0, err
	}
	return r.replace(ctx, e, nil, data)
}

func (r *Runs) replace(ctx context.Context, e RunEntry, header nats.Header, data []byte) (uint64, error) {
	if header == nil {
		header = nats.Header{}
	}
	maps.Copy(header, bus.ExpectLastOfSubject(e.Revision))
	seq, err := r.stream.Append(ctx, r.subject(e.Name), header, data, runsTimeout)
	if errors.Is(err, bus.ErrConflict) {
		return 0, fmt.Errorf("run %q: %w", e.Name, ErrTaken)
	}
	if err != nil {
		return 0, fmt.Errorf("the registry of runs: %w", err)
	}
	return seq, nil
}

// Remove takes the entry with its Revision out of the registry.
func (r *Runs) Remove(ctx context.Context, e RunEntry) error {
	_, err := r.replace(ctx, e, nats.Header{headerOperation: []string{"DEL"}}, nil)
	return err
}

// List returns all entries by name. One that cannot be read is passed over and told to broken.
func (r *Runs) List(ctx context.Context, broken func(error)) ([]RunEntry, error) {
	var entries []RunEntry
	err := r.stream.Subjects(ctx, r.prefix+">", func(subject string) error {
		e, err := r.get(ctx, subject)
		switch {
		case err == nil:
			entries = append(entries, e)
		case errors.Is(err, bus.ErrMissing):
		case ctx.Err() != nil:
			return err
		case bus.Passing(err):
			return err
		default:
			broken(err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(entries, func(a, b RunEntry) int { return strings.Compare(string(a.Name), string(b.Name)) })
	return entries, nil
}

// Follow calls changed at once and after every change, until ctx is done or the bucket fails.
func (r *Runs) Follow(ctx context.Context, changed func()) error {
	b, err := r.stream.Bounds(ctx)
	if err != nil {
		return fmt.Errorf("the registry of runs: %w", err)
	}
	changed()
	return r.stream.Follow(ctx, b.Last, func(*bus.Message) { changed() })
}

func encodeRunEntry(e RunEntry) ([]byte, error) {
	e.Version = RunEntryVersion
	text, err := json.Marshal(e)
	if err != nil || len(e.unknown) == 0 {
		return text, err
	}
	fields := maps.Clone(e.unknown)
	var known map[string]json.RawMessage
	if err := json.Unmarshal(text, &known); err != nil {
		return nil, err
	}
	maps.Copy(fields, known)
	return json.Marshal(fields)
}

func decodeRunEntry(data []byte) (e RunEntry, err error) {
	if err := json.Unmarshal(data, &e); err != nil {
		return RunEntry{}, err
	}
	if e.Version < 1 || e.Name == "" || e.Workflow == "" {
		return RunEntry{}, errors.New("it is no entry of a run")
	}
	if !(e.Weight > 0) {
		e.Weight = 1
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return RunEntry{}, err
	}
	for _, known := range runEntryFields {
		delete(fields, known)
	}
	e.unknown = fields
	return e, nil
}

// runEntryFields are the keys that this build knows.
var runEntryFields = []string{
	"version", "name", "id", "workflow", "args", "dir", "budget", "weight", "archived", "created_by", "created_at", "changed_by", "changed_at",
	"reason",
}
