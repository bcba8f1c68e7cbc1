package http

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"jeton/domain"
)

func TestNetworks(t *testing.T) {
	good := []string{"10.0.0.0/8", "192.0.2.7/32", "0.0.0.0/0", "2001:db8::/32", "2001:db8::1/128", "::/0"}
	read, err := networks(good)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(good, describeNetworks(read)); diff != "" {
		t.Errorf("read and written (-want +got):\n%s", diff)
	}
	if got, err := networks([]string{}); got != nil || err != nil {
		t.Errorf("an empty list is %v, %v; want nil", got, err)
	}
	if got := describeNetworks(nil); got == nil {
		t.Error("no networks are written as null, want []")
	}
}

// What is no network says what to write instead, and repeats nothing but addresses.
func TestBadNetworks(t *testing.T) {
	for text, next := range map[string]string{
		"10.0.0.1/8":            "write 10.0.0.0/8 for the network, or 10.0.0.1/32 for the address",
		"2001:db8::1/32":        "write 2001:db8::/32 for the network, or 2001:db8::1/128 for the address",
		"192.0.2.7":             "write 192.0.2.7/32 for this address alone",
		"2001:db8::1":           "write 2001:db8::1/128 for this address alone",
		"fe80::1%eth0":          "",
		"::ffff:192.0.2.7":      "write 192.0.2.7/32 for this address alone",
		"::ffff:10.0.0.0/104":   "write it like 10.0.0.0/8",
		"":                      "",
		" 10.0.0.0/8":           "",
		"10.0.0.0/8 ":           "",
		"10.0.0.0/33":           "",
		"10.0.0.0/-1":           "",
		"10.0.0.0/08":           "",
		"10.0.0/8":              "",
		"10/8":                  "",
		"10.0.0.0/255.0.0.0":    "",
		"10.0.0.0-10.255.0.0":   "",
		"10.*":                  "",
		"*":                     "",
		"any":                   "",
		"localhost":             "",
		"010.0.0.0/8":           "",
		"fe80::%eth0/10":        "",
		"2001:db8::/129":        "",
		"2001:db8:::/32":        "",
		"10.0.0.0/8,10.0.0.0/8": "",
		"example.com/8":         "",
		"http://10.0.0.0/8":     "",
		"jtn_pat_0123456789abcdef0123456789012345678901234567890123456789/8": "",
		strings.Repeat("1", 10_000): "",
	} {
		_, err := networks([]string{"10.0.0.0/8", text})
		var refused *domain.Refusal
		if !errors.As(err, &refused) || !errors.Is(err, domain.ErrInvalid) || refused.Field != "networks[1]" {
			t.Errorf("%.40q: %v, want a refusal of networks[1]", text, err)
			continue
		}
		if next == "" {
			next = "write it like 10.0.0.0/8, 2001:db8::/32 or 192.0.2.7/32"
			if text != "" && strings.Contains(refused.Error(), text) {
				t.Errorf("%.40q: it is repeated: %s", text, refused)
			}
		}
		if refused.Next != next {
			t.Errorf("%.40q: next is %q, want %q", text, refused.Next, next)
		}
	}
}

func TestLimits(t *testing.T) {
	for _, c := range []struct {
		limit *Limit
		want  domain.Limit
		bad   string // the field
	}{
		{limit: nil},
		{limit: &Limit{}},
		{limit: &Limit{Window: "1m"}},
		{limit: &Limit{Requests: 5, Window: "90s"}, want: domain.Limit{Requests: 5, Window: 90}},
		{limit: &Limit{Requests: 5}, want: domain.Limit{Requests: 5}}, // the domain refuses it, with its bounds
		{limit: &Limit{Requests: 5, Window: "x"}, bad: "limit.window"},
		{limit: &Limit{Window: "x"}, bad: "limit.window"},
	} {
		got, err := c.limit.limit("limit")
		var refused *domain.Refusal
		if errors.As(err, &refused) != (c.bad != "") || got != c.want || refused != nil && refused.Field != c.bad {
			t.Errorf("%+v: %+v, %v; want %+v, refused %q", c.limit, got, err, c.want, c.bad)
		}
	}
	if changed, err := (*Limit)(nil).change("limit"); changed != nil || err != nil {
		t.Errorf("no change is %v, %v", changed, err)
	}
	if changed, err := new(Limit).change("limit"); changed == nil || !changed.IsZero() || err != nil {
		t.Errorf("a change to none is %v, %v", changed, err)
	}
	if shown := describeLimit(domain.Limit{}); shown != nil {
		t.Errorf("no limit is shown as %v", shown)
	}
}

func TestGrants(t *testing.T) {
	for _, g := range []domain.Grant{
		{},
		{Access: domain.ReadOnly},
		{Access: domain.ByRole, Role: "ci", Resources: []domain.Resource{"engine:prod", "engine:*"}},
		{Access: domain.ByList, Permissions: []string{"engines.read"}},
		{Resources: []domain.Resource{"engine:prod"}},
	} {
		if diff := cmp.Diff(g, describeGrant(g).grant()); diff != "" {
			t.Errorf("shown and read (-want +got):\n%s", diff)
		}
	}
	empty := Grant{Permissions: []string{}, Resources: []string{}}
	if got := empty.grant(); !got.IsZero() || got.Permissions != nil || got.Resources != nil {
		t.Errorf("empty lists are %#v, want none", got)
	}
}
