package projections

import (
	"fmt"
	"net/netip"
	"regexp"
	"testing"
	"time"

	"jeton/domain"
)

// rowOf is a token's row on both databases.
func rowOf(t *testing.T, w *world, id domain.TokenID, test func(t *testing.T, r TokenRow)) {
	t.Helper()
	everywhere(t, func(t *testing.T, url string) {
		here := w.here(t)
		test(t, here.row(viewsOf(here, url), id))
	})
}

func TestTermsOfATokenRow(t *testing.T) {
	w := newWorld(t)
	terms := domain.Terms{
		Grant:     domain.Grant{Access: domain.ByList, Permissions: []string{"tokens.check"}, Resources: []domain.Resource{`engine:"quoted"`}},
		Networks:  []domain.Network{netip.MustParsePrefix("10.0.0.0/8")},
		NotBefore: domain.At(noon.Add(time.Hour)),
		Limit:     domain.Limit{Requests: 3, Window: 60},
	}
	id, _ := w.issue(w.owner.actor, domain.Administrative, "robot", func(c *domain.IssueToken) { c.Terms = terms })
	rowOf(t, w, id, func(t *testing.T, r TokenRow) {
		sameFacts(t, "terms", facts{Tokens: map[domain.TokenID]tokenFacts{id: {Terms: r.Terms}}}, facts{Tokens: map[domain.TokenID]tokenFacts{id: {Terms: terms}}})
	})

	expires := domain.At(noon.Add(24 * time.Hour))
	var none domain.Terms
	w.do(w.owner.actor, domain.UpdateToken{Token: id, Expires: &expires, Grant: &none.Grant, Networks: &none.Networks, NotBefore: &none.NotBefore, Limit: &none.Limit})
	rowOf(t, w, id, func(t *testing.T, r TokenRow) {
		if !r.Terms.IsZero() || r.Expires != expires || r.Changed != w.last() || r.Unbound {
			t.Errorf("without terms: %+v", r)
		}
	})

	follows, _ := w.issue(w.owner.actor, domain.Personal, "everywhere", func(c *domain.IssueToken) { c.Unbound = true })
	rowOf(t, w, follows, func(t *testing.T, r TokenRow) {
		if !r.Unbound {
			t.Errorf("one that follows its holder: %+v", r)
		}
	})
}

func TestFiltersByTime(t *testing.T) {
	w := newWorld(t)
	for i := range 4 {
		w.issue(w.owner.actor, domain.Administrative, fmt.Sprint("day ", i), func(c *domain.IssueToken) {
			c.Expires = domain.At(noon.Add(time.Duration(i+1) * 24 * time.Hour))
		})
		w.pass(time.Minute)
	}
	never, _ := w.issue(w.owner.actor, domain.Administrative, "never", func(c *domain.IssueToken) { c.Never = true })
	w.pass(time.Minute)
	w.rotate(w.owner.actor, never, 0)
	day := func(n int) domain.Instant { return domain.At(noon.Add(time.Duration(n) * 24 * time.Hour)) }
	everywhere(t, func(t *testing.T, url string) {
		v := viewsOf(w.here(t), url)
		for what, c := range map[string]struct {
			filter TokenFilter
			want   []string
		}{
			"end before":                        {TokenFilter{ExpiresBefore: day(3)}, []string{"day 1", "day 0"}},
			"end a moment later":                {TokenFilter{ExpiresBefore: day(3) + 1}, []string{"day 2", "day 1", "day 0"}},
			"live, and end before":              {TokenFilter{ExpiresBefore: day(3) + 1, Status: Active, Now: day(1)}, []string{"day 2", "day 1"}},
			"issued before":                     {TokenFilter{IssuedBefore: domain.At(noon.Add(2 * time.Minute)), Kind: domain.Administrative}, []string{"day 1", "day 0"}},
			"rotated is as good as issued then": {TokenFilter{IssuedBefore: domain.At(w.now()), Name: "never"}, nil},
			"a moment after the rotation":       {TokenFilter{IssuedBefore: domain.At(w.now()) + 1, Name: "never"}, []string{"never"}},
		} {
			c.filter.Organization = w.org
			found, err := v.Tokens(t.Context(), c.filter)
			fails(t, what, err, nil)
			var names []string
			for _, r := range found {
				names = append(names, r.Name)
			}
			same(t, what, names, c.want)
		}
	})
}

// TestListsUseTheirIndexes: what is asked all the time must not read a whole
// organization. Both databases are asked how they would go about it.
func TestListsUseTheirIndexes(t *testing.T) {
	w := newWorld(t)
	everywhere(t, func(t *testing.T, url string) {
		v := viewsOf(w.here(t), url)
		fill(t, v, w.org)
		now := domain.At(noon)
		for what, c := range map[string]struct {
			filter TokenFilter
			want   string
		}{
			"a page":            {TokenFilter{}, "tokens_organization_number_key|sqlite_autoindex_tokens_2"},
			"a holder":          {TokenFilter{Holder: w.owner.id}, "tokens_of_holder"},
			"those that expire": {TokenFilter{ExpiresBefore: now + 5, Status: Active, Now: now}, "tokens_that_expire"},
			"those that wait":   {TokenFilter{Status: Waiting, Now: now}, "tokens_that_wait"},
		} {
			c.filter.Organization = w.org
			plan := explain(t, v, c.filter)
			if !regexp.MustCompile(c.want).MatchString(plan) {
				t.Errorf("%s: it does not use the index of %s:\n%s", what, c.want, plan)
			}
		}
	})
}

// fill makes many tokens, of which few expire soon, wait, or are the owner's.
func fill(t *testing.T, v *Views, org domain.OrganizationID) {
	t.Helper()
	tamper(t, v, `
INSERT INTO tokens
WITH RECURSIVE n (n) AS (SELECT 100 UNION ALL SELECT n + 1 FROM n WHERE n < 20000)
SELECT organization, 'id' || n, n, kind, CASE WHEN n % 1000 = 0 THEN holder ELSE 'somebody' || (n % 50) END, name, folded, description, terms, bound, unbound,
	issued, issuer_kind, issuer_account, issuer_token, issued + n,
	made, rotated, previous_made, previous_until, reused,
	CASE WHEN n % 2000 = 0 THEN 1 ELSE 0 END, requester_kind, requester_account, requester_token,
	revoked, revoker_kind, revoker_account, revoker_token, ended, reason, changed
FROM tokens, n
WHERE organization = ?`, org.String())
	if v.write.DriverName() == "sqlite" {
		return // nobody analyzes it, and PostgreSQL does so by itself
	}
	_, err := v.write.ExecContext(t.Context(), "ANALYZE")
	fails(t, "analyze", err, nil)
}

// explain is the plan of a list of tokens.
func explain(t *testing.T, v *Views, f TokenFilter) (plan string) {
	t.Helper()
	c := f.conditions()
	explain := "EXPLAIN "
	if v.read.DriverName() == "sqlite" {
		explain = "EXPLAIN QUERY PLAN "
	}
	rows, err := v.read.QueryxContext(t.Context(), v.read.Rebind(explain+selectTokens+c.text+newestTokens), values(append(c.args, 100))...)
	fails(t, "explain", err, nil)
	defer rows.Close()
	for rows.Next() {
		plan += line(t, rows) + "\n"
	}
	fails(t, "explain", rows.Err(), nil)
	return plan
}
