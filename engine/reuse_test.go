package engine

import (
	"net/http"
	"testing"
	"time"

	"jeton/domain"
)

// Secrets that were rotated out are noted when they are shown, once an hour each, and are
// reported until the platform has answered.
func TestReuseIsReported(t *testing.T) {
	w := newWorld(t)
	bob := w.join("bob@example.org", domain.Ordinary)
	fresh := w.draw(domain.Personal, bob.token)
	w.doAs(bob.actor, domain.RotateToken{Token: bob.token, Hash: fresh.Hash()})
	c := w.ready(w.config(w.platform().URL))
	w.until("reported once", func() bool { return len(w.reports) > 0 })
	failures := 0
	w.change(func() {
		w.refuses = func(rw http.ResponseWriter) bool {
			if failures++; failures <= 2 {
				rw.WriteHeader(http.StatusInternalServerError)
			}
			return failures <= 2
		}
	})
	for range 3 {
		w.denied(c, bob.secret.Reveal(), domain.ReasonReplaced)
	}
	reported := func() (all []Reuse) {
		for _, r := range w.reports {
			all = append(all, r.Reused...)
		}
		return all
	}
	w.until("the reuse is reported", func() bool { return len(reported()) > 0 })
	w.allowed(c, fresh)
	w.until("the use of the new one is reported", func() bool { return len(w.reports[len(w.reports)-1].Uses) == 1 })
	w.change(func() {
		if got := reported(); len(got) != 1 || got[0] != (Reuse{bob.token, bob.secret.Hash()}) || failures < 3 {
			t.Errorf("after %d attempts reported are %+v", failures, got)
		}
	})
	w.pass(time.Hour)
	w.await(c, "a mark of the next hour", func(s State) bool { return s.Age == 0 })
	w.denied(c, bob.secret.Reveal(), domain.ReasonReplaced)
	w.until("it is reported again", func() bool { return len(reported()) == 2 })
}

// A program that is forgotten, or a thief with many secrets, fills neither a report nor
// the memory.
func TestManyReuses(t *testing.T) {
	var r reuses
	at := domain.At(noon)
	reuse := func(n int) (u Reuse) {
		u.Hash[0], u.Hash[1] = byte(n), byte(n>>8)
		return u
	}
	for range 3 {
		for n := range maxNoted + 10 {
			r.note(reuse(n), at)
		}
	}
	taken := map[Reuse]int{}
	for want := maxNoted; want > 0; want -= MaxReused {
		some := r.take(MaxReused)
		if len(some) != min(want, MaxReused) {
			t.Fatalf("got %d at once, with %d to come", len(some), want)
		}
		for _, u := range some {
			taken[u]++
		}
	}
	if rest := r.take(MaxReused); len(taken) != maxNoted || len(rest) != 0 {
		t.Errorf("got %d different ones, and %d more; want %d", len(taken), len(rest), maxNoted)
	}
	r.note(reuse(maxNoted+1), at.Add(reuseAgain))
	if some := r.take(MaxReused); len(some) != 1 || len(r.noted) != 1 {
		t.Errorf("an hour later got %d, and %d are kept", len(some), len(r.noted))
	}
}
