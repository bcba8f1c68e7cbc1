package projections

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"jeton/domain"
	"jeton/eventstore"
)

// report is how a node tells the others how tokens were used, as JSON:
//
//	{"v": 1, "reporter": "0123456789abcdef", "number": 7, "node": "a.example.org",
//	 "at": "2026-11-22T08:00:00Z", "uses": [
//	  {"org": "…", "token": "…", "last": "2026-11-22T07:59:00Z", "days": {"2026-11-22": 5},
//	   "where": "account-… usage-… AB…", "engine": "…", "permissions": ["tokens.check"]}]}
//
// A reporter is one life of a node, and numbers its reports from 1 on without a
// gap, each told only when the one before is stored; so a report whose number is
// not above the last one of its reporter was counted already, however often and
// however late it is stored again. node is for people.
//
// In uses a token stands once, and all of it is what there is more since the
// report before: days are counts of UTC days, to be added; permissions, engine and what is
// in where are to be merged. where is sealed (Vault.Conceal) under the key of the token's
// holder, or else of the organization, and is JSON: {"networks": [{"network":
// "192.0.2.0/24", "last": "2026-11-22T07:59:00Z"}], "agent": "curl/8.5.0"}, at most 5
// networks (/24, /48). Reports from before have both in clear instead of where.
// All but org, token, last
// and days may be missing. engine is the token of who asked for the check. What is
// not known here is ignored; v changes if that would be wrong.
type report struct {
	Version  int               `json:"v"`
	Reporter domain.ID         `json:"reporter"`
	Number   uint64            `json:"number"`
	Node     string            `json:"node"`
	At       domain.Instant    `json:"at"`
	Uses     []json.RawMessage `json:"uses"`
}

const reportVersion = 1

// tokenUse is how one token was used, in a report.
type tokenUse struct {
	Organization domain.OrganizationID `json:"org"`
	Token        domain.TokenID        `json:"token"`
	Last         domain.Instant        `json:"last"`
	Days         map[string]int64      `json:"days"`
	Networks     []NetworkUse          `json:"networks,omitempty"`
	Where        string                `json:"where,omitempty"`
	Engine       domain.TokenID        `json:"engine,omitzero"`
	Agent        string                `json:"agent,omitempty"`
	Permissions  []string              `json:"permissions,omitempty"`
}

// NetworkUse is when a token was last used from a network, to the minute.
type NetworkUse struct {
	Network netip.Prefix   `json:"network"`
	Last    domain.Instant `json:"last"`
}

const (
	// enoughReport is when a report is full. One more token fits then in any case:
	// with all permissions there can be it takes 50 KB.
	enoughReport = 200 << 10
	// lastPatience is how long a node that ends tries to tell what it knows.
	lastPatience = 5 * time.Second
)

// Reporting is how telling others how tokens were used goes.
type Reporting struct {
	Waiting int    // tokens whose use was not told yet
	Missed  uint64 // uses that were not counted, because those of too many tokens wait
	Err     error  // why it did not succeed last time
}

// Reporting is how Report goes.
func (m *Model) Reporting() Reporting {
	r := Reporting{Waiting: m.uses.waiting(), Missed: m.uses.missed.Load()}
	if err := m.uses.failed.Load(); err != nil {
		r.Err = *err
	}
	return r
}

// Report tells how tokens were used here, each token at most once in every
// interval, until ctx ends and once more then. Of very many tokens it tells
// earlier. While usage is not available, what was counted goes on being counted
// where it is, and checks do not notice; Reporting says so. The error is that the
// last of it could not be told. One Report runs at a time.
func (m *Model) Report(ctx context.Context, usage eventstore.Usage, node string, every time.Duration) error {
	r := m.reporter(usage, node)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return r.last()
		case <-tick.C:
		case <-m.uses.early:
		}
		_ = r.flush(ctx) // is in Reporting, and tried again
	}
}

// reporter is one Report.
type reporter struct {
	*Model
	usage eventstore.Usage
	report
	// sending is the report that is not known to be stored, as it was sent first:
	// sent again it must be the same.
	sending []byte
}

func (m *Model) reporter(usage eventstore.Usage, node string) *reporter {
	return &reporter{Model: m, usage: usage, report: report{Version: reportVersion, Reporter: domain.RandomID(), Node: node}}
}

func (r *reporter) last() error {
	ctx, cancel := context.WithTimeout(context.Background(), lastPatience)
	defer cancel()
	return r.flush(ctx)
}

// flush tells all that was counted before it began.
func (r *reporter) flush(ctx context.Context) error {
	err := r.send(ctx)
	for at, round := uint32(0), r.uses.round.Add(1); err == nil && at < r.uses.size(); {
		if at, err = r.collect(ctx, at, round); err == nil {
			err = r.send(ctx)
		}
	}
	r.uses.failed.Store(&err)
	return err
}

// send publishes the report that is ready, if there is one.
func (r *reporter) send(ctx context.Context) error {
	if r.sending == nil {
		return nil
	}
	if err := r.usage.Publish(ctx, fmt.Sprintf("%s-%d", r.Reporter, r.Number), r.sending); err != nil {
		return err
	}
	r.sending = nil
	return nil
}

// collect makes a report of what deltas hold from one on, and answers where the
// next begins.
func (r *reporter) collect(ctx context.Context, at, round uint32) (next uint32, err error) {
	r.Uses = nil
	for n := 0; at < r.uses.size() && n < enoughReport; at++ {
		s := r.uses.end(at, round)
		if s.token.IsZero() {
			continue
		}
		told := r.told(&s)
		r.hide(ctx, &told)
		use, err := json.Marshal(told)
		if err != nil {
			return at, fmt.Errorf("report usage: %w", err)
		}
		r.Uses, n = append(r.Uses, use), n+len(use)+1
	}
	if len(r.Uses) == 0 {
		return at, nil
	}
	r.Number, r.At = r.Number+1, domain.At(r.now())
	r.sending, err = json.Marshal(r.report)
	return at, err
}

// told is what was seen, in the words of a report.
func (m *Model) told(s *seen) tokenUse {
	use := tokenUse{
		Organization: s.organization,
		Token:        s.token,
		Last:         domain.Instant(s.minute) * minute,
		Days:         map[string]int64{},
		Engine:       s.engine,
		Agent:        string(s.agent[:s.agentLength]),
	}
	for _, d := range s.days {
		if d.n > 0 {
			use.Days[dayName(domain.Instant(d.day)*day)] = int64(d.n)
		}
	}
	for _, n := range s.networks {
		if n.network != 0 {
			use.Networks = append(use.Networks, NetworkUse{n.network.prefix(), domain.Instant(n.minute) * minute})
		}
	}
	if !s.permissions.IsZero() {
		use.Permissions = m.Names(s.organization, s.permissions)
	}
	return use
}

// day is in the unit of moments.
const day = minutesOfDay * minute

func dayName(i domain.Instant) string { return i.Time().Format(time.DateOnly) }

// readReport is the way back from JSON. What is in it was written by another node,
// perhaps of another version: what no table takes is an error or left out.
func readReport(data []byte) (r report, uses []tokenUse, err error) {
	if err := json.Unmarshal(data, &r); err != nil {
		return r, nil, fmt.Errorf("read a report: %w", err)
	}
	if r.Version != reportVersion {
		return r, nil, fmt.Errorf("read a report: it has version %d, and this program knows %d", r.Version, reportVersion)
	}
	uses = make([]tokenUse, len(r.Uses))
	for i, data := range r.Uses {
		if err := json.Unmarshal(data, &uses[i]); err != nil {
			return r, nil, fmt.Errorf("read a report: %w", err)
		}
		if err := uses[i].check(); err != nil {
			return r, nil, fmt.Errorf("read a report: token %s: %w", uses[i].Token, err)
		}
	}
	return r, uses, nil
}

// check refuses what is no use, and cuts what is too much.
func (u *tokenUse) check() error {
	if u.Organization.IsZero() || u.Token.IsZero() || u.Last <= 0 {
		return fmt.Errorf("it does not say which was used and when")
	}
	for name, n := range u.Days {
		if _, err := dayNamed(name); err != nil || n < 0 {
			return fmt.Errorf("%d uses on %q are none", n, name)
		}
	}
	for _, n := range u.Networks {
		if !n.Network.IsValid() {
			return fmt.Errorf("it was used from no network")
		}
	}
	u.Agent = string(appendPrintable(make([]byte, 0, maxAgent), u.Agent))
	u.Permissions = slices.DeleteFunc(u.Permissions, func(name string) bool { return !storable(name) || strings.TrimSpace(name) == "" })
	return nil
}

func dayNamed(name string) (domain.Instant, error) {
	t, err := time.Parse(time.DateOnly, name)
	return domain.At(t), err
}
