package model

import (
	"context"
	"fmt"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// rejects implements bus.Rejects.
type rejects struct {
	c    *Client
	run  spec.RunName
	name string
}

// Rejects returns what a run keeps of what it rejected.
func (c *Client) Rejects(run spec.RunName) bus.Rejects {
	return &rejects{c: c, run: run, name: bus.RejectedStream(run)}
}

func (r *rejects) Put(ctx context.Context, rejected *bus.Rejected) error {
	data, err := bus.EncodeRejected(rejected)
	if err != nil {
		return err
	}
	return r.c.ask(ctx, "rejects.put", func() error {
		s := r.c.server
		s.ensure(r.name, stream{})
		s.mu.Lock()
		defer s.mu.Unlock()
		st := s.streams[r.name]
		for st.bytes+int64(len(data)) > bus.RejectedMaxBytesDefault || len(st.messages) >= bus.RejectedMaxMessagesDefault {
			st.remove(st.messages[0])
		}
		_, err := s.store(st, bus.RejectedSubject(r.run), data)
		return err
	})
}

func (r *rejects) List(ctx context.Context, fn func(number uint64, rejected *bus.Rejected) error) error {
	for next := uint64(1); ; {
		var m *message
		err := r.c.ask(ctx, "rejects.list", func() (err error) { m, _, err = r.c.server.after(r.name, next); return err })
		if err != nil || m == nil {
			return err
		}
		rejected, err := bus.DecodeRejected(m.data)
		if err == nil {
			err = fn(m.seq, rejected)
		}
		if err != nil {
			return err
		}
		next = m.seq + 1
	}
}

func (r *rejects) Get(ctx context.Context, number uint64) (*bus.Rejected, error) {
	var data []byte
	err := r.c.ask(ctx, "rejects.get", func() (err error) { data, err = r.c.server.get(r.name, number); return err })
	if err != nil {
		return nil, fmt.Errorf("rejection %d: %w", number, err)
	}
	return bus.DecodeRejected(data)
}
