package projections

import (
	"math/rand/v2"
	"testing"

	"jeton/domain"
)

// TestIndexIsAMap, whatever is put and looked for, and however it grows.
func TestIndexIsAMap(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for name, draw := range map[string]func() domain.TokenID{
		"random ids": func() domain.TokenID { return domain.TokenID{ID: domain.RandomID()} },
		"ids that all begin at one place": func() (id domain.TokenID) {
			id.ID[0], id.ID[1] = byte(random.Uint32()), byte(random.Uint32())
			return id
		},
		"ids that wrap around": func() (id domain.TokenID) {
			for i := range id.ID {
				id.ID[i] = 0xff
			}
			id.ID[0], id.ID[1], id.ID[2] = byte(random.Uint32()), byte(random.Uint32()), 0xff-byte(random.Uint32N(3))
			return id
		},
	} {
		t.Run(name, func(t *testing.T) {
			var x index
			known := map[domain.TokenID]spot{}
			for n := range uint32(3000) {
				at := spot{draw(), n, random.Uint32()}
				x.put(at)
				if _, before := known[at.id]; !before && !at.id.IsZero() {
					known[at.id] = at // the first stays
				}
				if absent := draw(); known[absent].id.IsZero() {
					if _, found := x.find(absent); found {
						t.Fatalf("after %d: %s is found", n, absent)
					}
				}
			}
			for id, want := range known {
				if got, found := x.find(id); !found || got != want {
					t.Fatalf("%s: got %v %v, want %v", id, got, found, want)
				}
			}
			if x.n != len(known) || len(x.slots())&(len(x.slots())-1) != 0 || 3*x.n > 2*len(x.slots())+3 {
				t.Errorf("%d tokens in %d spots, want %d in a power of two, a third of them free", x.n, len(x.slots()), len(known))
			}
		})
	}
}

func TestIndexOfNothing(t *testing.T) {
	var x index
	for range 2 {
		if _, found := x.find(domain.TokenID{}); found {
			t.Error("the zero id is found")
		}
		if _, found := x.find(domain.TokenID{ID: domain.RandomID()}); found {
			t.Error("something is found")
		}
		x.put(spot{})
		if x.n != 0 {
			t.Error("the zero spot was put")
		}
		x.grow()
	}
}
