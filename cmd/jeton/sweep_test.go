package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"jeton/eventstore"
)

// A file goes if it is old enough and no record has it; if that can't be found out
// none does.
func TestRemoveOrphans(t *testing.T) {
	lost := errors.New("the views are behind")
	has := func(err error, names ...string) func(context.Context, string) (bool, error) {
		return func(_ context.Context, name string) (bool, error) { return slices.Contains(names, name), err }
	}
	later, earlier := time.Now().Add(time.Hour), time.Now().Add(-time.Hour)
	for name, c := range map[string]struct {
		has    func(context.Context, string) (bool, error)
		before time.Time
		left   []string
		err    error
	}{
		"old, and one has a record": {has(nil, "acme/kept"), later, []string{"acme/kept"}, nil},
		"too young":                 {has(nil), earlier, []string{"acme/kept", "acme/orphan"}, nil},
		"views that do not know":    {has(lost), later, []string{"acme/kept", "acme/orphan"}, lost},
	} {
		objects := new(eventstore.MemoryObjects)
		for _, object := range []string{"acme/orphan", "acme/kept"} {
			if _, err := objects.Put(t.Context(), object, strings.NewReader("x"), 1); err != nil {
				t.Fatal(err)
			}
		}
		removed, err := removeOrphans(t.Context(), objects, c.has, c.before)
		if !errors.Is(err, c.err) || removed != 2-len(c.left) {
			t.Errorf("%s: %d were removed, %v", name, removed, err)
		}
		var left []string
		if err := objects.List(t.Context(), func(o eventstore.Object) error { left = append(left, o.Name); return nil }); err != nil {
			t.Fatal(err)
		}
		if slices.Sort(left); !slices.Equal(left, c.left) {
			t.Errorf("%s: left are %v, not %v", name, left, c.left)
		}
	}
}

// The service removes what a broken upload has left, and nothing that is young.
func TestSweepOnce(t *testing.T) {
	m := begin(t, func(*Config) {})
	if _, err := m.objects.Put(t.Context(), "acme/orphan", strings.NewReader("x"), 1); err != nil {
		t.Fatal(err)
	}
	if err := m.Views.Wait(t.Context(), m.Model.Position()); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		now  time.Time
		want int
	}{{time.Now(), 0}, {time.Now().Add(sweepAge + time.Minute), 1}} {
		m.Now = func() time.Time { return step.now }
		if removed, err := m.sweepOnce(t.Context()); err != nil || removed != step.want {
			t.Errorf("%d were removed, not %d: %v", removed, step.want, err)
		}
	}
}
