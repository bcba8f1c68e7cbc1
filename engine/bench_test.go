package engine

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"jeton/domain"
)

// million is a client whose copy has so many tokens of a thousand people, and their
// secrets.
func million(t testing.TB, tokens int) (*Client, []string) {
	t.Helper()
	w := newWorld(t)
	c := &Client{config: Config{Now: time.Now}, snap: &snapshot{}}
	c.copy.begin(time.Minute)
	h := c.copy.held
	take := func(p domain.Piece) {
		if err := h.take(&p, nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range w.whole() {
		take(p)
	}
	const people = 1000
	for at := range uint32(people) {
		take(domain.Piece{Holder: &domain.HolderPiece{At: 100 + at, Kind: domain.Person, Role: 2, Number: domain.Position(100 + at), Email: fmt.Sprintf("p%d@example.org", at)}})
	}
	secrets := make([]string, tokens)
	for i := range secrets {
		id := domain.TokenID{ID: domain.RandomID()}
		secret := w.draw(domain.Personal, id)
		secrets[i] = secret.Reveal()
		take(domain.Piece{Token: &domain.TokenPiece{ID: id, Kind: domain.Personal, Hash: secret.Hash(), Seat: 100 + uint32(i)%people, Issued: domain.At(noon)}})
	}
	c.copy.mark(&Mark{From: 0, To: 1, At: domain.At(noon)}, time.Now(), true)
	c.copy.max = time.Hour
	rand.Shuffle(len(secrets), func(i, j int) { secrets[i], secrets[j] = secrets[j], secrets[i] })
	return c, secrets
}

// A check at an engine with a million tokens: of any of them, and of a thousand that
// are in use.
func BenchmarkCheck(b *testing.B) {
	c, secrets := million(b, 1_000_000)
	p := Presented{Address: netip.MustParseAddr("192.0.2.7"), Agent: "curl/8.5.0"}
	for name, of := range map[string][]string{"of all": secrets, "of 1000 in use": secrets[:1000]} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				p.Secret = of[i%len(of)]
				if a := c.Check(p); !a.Allowed {
					b.Fatalf("got %+v", a)
				}
			}
		})
	}
	b.Run("in parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			p := p
			for i := rand.IntN(len(secrets)); pb.Next(); i++ {
				p.Secret = secrets[i%len(secrets)]
				if a := c.Check(p); !a.Allowed {
					b.Errorf("got %+v", a)
				}
			}
		})
	})
}

// A check allocates nothing, whatever is shown.
func TestCheckAllocatesNothing(t *testing.T) {
	c, secrets := million(t, 1000)
	shown, _ := domain.ParseSecret(secrets[3])
	former := secrets[3]
	if err := c.copy.take(&domain.Piece{Token: &domain.TokenPiece{ID: shown.Token, Kind: shown.Kind, Hash: domain.Hash{1}, Seat: 100, Formers: []domain.FormerPiece{{Hash: shown.Hash, Until: 1}}}}); err != nil {
		t.Fatal(err)
	}
	address := netip.MustParseAddr("192.0.2.7")
	for name, p := range map[string]Presented{
		"a token":                {Secret: secrets[0], Address: address, Agent: "curl/8.5.0"},
		"for something":          {Secret: secrets[1], Permission: "clones.read", Resource: "engine:prod"},
		"for what it may not":    {Secret: secrets[2], Permission: "members.add"},
		"an unknown token":       {Secret: secrets[0][:60] + "000000"},
		"nonsense":               {Secret: "nonsense"},
		"nothing":                {},
		"the verification token": {Secret: verification},
		"a secret from before":   {Secret: former},
		"again":                  {Secret: secrets[0], Again: true},
	} {
		c.Check(p) // once, so that the token is known to be in use
		if n := testing.AllocsPerRun(100, func() { c.Check(p) }); n != 0 {
			t.Errorf("%s: allocates %v times", name, n)
		}
	}
}
