package domain

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What a token may be given when it is made.
func TestIssueTokenWithTerms(t *testing.T) {
	with := func(terms Terms) IssueToken { c := issueLaptop; c.Terms = terms; return c }
	gives := func(g Grant) IssueToken { return with(Terms{Grant: g}) }
	admin := func(g Grant) IssueToken { c := gives(g); c.Kind = Administrative; return c }
	bound := func(terms Terms) []Event { return []Event{newIssued, TokenBound{token("new"), terms}} }
	administrative := func(g Grant) []Event {
		e := newIssued
		e.Type, e.Holder = Administrative, AccountID{}
		return []Event{e, TokenBound{token("new"), Terms{Grant: g}}}
	}
	many := func(n int) (all []Resource) {
		for i := range n {
			all = append(all, Resource(fmt.Sprintf("engine:e%d", i)))
		}
		return all
	}
	hundredNetworks := slices.Repeat(networks("10.0.0.0/8"), maxNetworks)
	run(t, acmeAfter, tenantScenarios{
		"read-only": {
			when: gives(Grant{Access: ReadOnly}), by: byMia,
			then: bound(Terms{Grant: Grant{Access: ReadOnly}}),
		},
		"full access": {
			when: gives(Grant{Access: FullAccess}), by: byMia,
			then: bound(Terms{Grant: Grant{Access: FullAccess}}),
		},
		"a role": {
			when: gives(Grant{Access: ByRole, Role: "ci"}), by: byMia,
			then: bound(Terms{Grant: Grant{Access: ByRole, Role: "ci"}}),
		},
		"a list": {
			when: gives(custom("tokens.check", "engines.read")), by: byMia,
			then: bound(Terms{Grant: custom("tokens.check", "engines.read")}),
		},
		"everything at once": {
			when: with(Terms{
				Grant:    Grant{Access: ByList, Permissions: []string{"engines.read"}, Resources: []Resource{"engine:prod", "engine:*"}},
				Networks: networks("10.0.0.0/8", "2001:db8::/32", "192.0.2.7/32", "::/0"), NotBefore: tomorrow, Limit: Limit{10, 60},
			}), by: byMia,
			then: bound(Terms{
				Grant:    Grant{Access: ByList, Permissions: []string{"engines.read"}, Resources: []Resource{"engine:prod", "engine:*"}},
				Networks: networks("10.0.0.0/8", "2001:db8::/32", "192.0.2.7/32", "::/0"), NotBefore: tomorrow, Limit: Limit{10, 60},
			}),
		},
		"empty lists are none": {
			when: with(Terms{Grant: Grant{Permissions: []string{}, Resources: []Resource{}}, Networks: []Network{}}), by: byMia,
			then: []Event{newIssued},
		},
		"empty lists beside something are none": {
			when: with(Terms{Grant: Grant{Access: ReadOnly, Permissions: []string{}, Resources: []Resource{}}, Networks: []Network{}}), by: byMia,
			then: bound(Terms{Grant: Grant{Access: ReadOnly}}),
		},
		"a full-access token of a member can do no more than they": {
			given: []Event{MemberRoleChanged{mia, Auditor}},
			when:  gives(Grant{Access: FullAccess}), by: byMia,
			err: ErrDenied, says: "needs the permission tokens.create-personal",
		},

		"an access that there is not": {
			when: gives(Grant{Access: "root"}), by: byMia,
			err: ErrInvalid, says: `grant.access: "root" is no kind of grant`,
		},
		"a role without the access": {
			when: gives(Grant{Role: "ci"}), by: byMia,
			err: ErrInvalid, says: `grant.role: does not go with the access ""`,
		},
		"a role beside a list": {
			when: gives(Grant{Access: ByList, Role: "ci", Permissions: []string{"tokens.check"}}), by: byMia,
			err: ErrInvalid, says: `grant.role: does not go with the access "custom"`,
		},
		"the access without a role": {
			when: gives(Grant{Access: ByRole}), by: byMia,
			err: ErrInvalid, says: `grant.role: does not go with the access "role"`,
		},
		"a role that there is not": {
			when: gives(Grant{Access: ByRole, Role: "root"}), by: byMia,
			err: ErrInvalid, says: `grant.role: there is no role "root"`,
		},
		"a role that was deleted": {
			given: []Event{RoleCreated{Name: "guest"}, RoleDeleted{"guest"}},
			when:  gives(Grant{Access: ByRole, Role: "guest"}), by: byMia,
			err: ErrInvalid, says: `there is no role "guest"`,
		},
		"permissions beside read-only": {
			when: gives(Grant{Access: ReadOnly, Permissions: []string{"tokens.create-personal"}}), by: byMia,
			err: ErrInvalid, says: `grant.permissions: does not go with the access "read-only"`,
		},
		"permissions without an access": {
			when: gives(Grant{Permissions: []string{"tokens.check"}}), by: byMia,
			err: ErrInvalid, says: "grant.permissions: does not go",
		},
		"an empty list": {
			when: gives(Grant{Access: ByList, Permissions: []string{}}), by: byMia,
			err: ErrInvalid, says: `grant.permissions: does not go with the access "custom"`,
		},
		"a permission that there is not": {
			when: gives(custom("tokens.check", "root")), by: byMia,
			err: ErrInvalid, says: `grant.permissions: there is no permission "root"`,
		},
		"ten thousand permissions that there are not": {
			when: gives(custom(slices.Repeat([]string{strings.Repeat("a", 10_000)}, 10_000)...)), by: byMia,
			err: ErrInvalid, says: "there is no permission",
		},
		"a permission that was retired": {
			given: []Event{clones, PermissionRetired{"clones.create"}},
			when:  gives(custom("clones.create")), by: byMia,
			err: ErrInvalid, says: `there is no permission "clones.create"`,
		},
		"a hundred resources": {
			when: gives(Grant{Resources: many(maxResources)}), by: byMia,
			then: bound(Terms{Grant: Grant{Resources: many(maxResources)}}),
		},
		"too many resources": {
			when: gives(Grant{Resources: many(maxResources + 1)}), by: byMia,
			err: ErrInvalid, says: "grant.resources: has 101 resources",
		},
		"a network that has bits behind the prefix": {
			when: with(Terms{Networks: networks("10.0.0.1/8")}), by: byMia,
			err: ErrInvalid, says: "networks: 10.0.0.1/8 is no network",
		},
		"a network of the sixth version that has bits behind the prefix": {
			when: with(Terms{Networks: networks("2001:db8::1/32")}), by: byMia,
			err: ErrInvalid, says: "networks: 2001:db8::1/32 is no network",
		},
		"a network that is the fourth version in the sixth": {
			when: with(Terms{Networks: []Network{netip.PrefixFrom(netip.MustParseAddr("::ffff:10.0.0.0"), 104)}}), by: byMia,
			err: ErrInvalid, says: "is no network",
		},
		"no network": {
			when: with(Terms{Networks: []Network{{}}}), by: byMia,
			err: ErrInvalid, says: "is no network",
		},
		"a network of more bits than there are": {
			when: with(Terms{Networks: []Network{netip.PrefixFrom(netip.MustParseAddr("10.0.0.0"), 33)}}), by: byMia,
			err: ErrInvalid, says: "is no network",
		},
		"the most networks": {
			when: with(Terms{Networks: hundredNetworks}), by: byMia,
			then: bound(Terms{Networks: hundredNetworks}),
		},
		"too many networks": {
			when: with(Terms{Networks: append(hundredNetworks, hundredNetworks...)}), by: byMia,
			err: ErrInvalid, says: "networks: has 100 networks",
		},
		"a beginning before 1970": {
			when: with(Terms{NotBefore: -1}), by: byMia,
			err: ErrInvalid, says: "not_before: lies outside the calendar",
		},
		"a beginning after the calendar": {
			when: with(Terms{NotBefore: lastInstant + 1}), by: byMia,
			err: ErrInvalid, says: "not_before: lies outside the calendar",
		},
		"a beginning at the end": {
			when: with(Terms{NotBefore: nextYear}), by: byMia,
			err: ErrInvalid, says: "not_before: is not before the end",
		},
		"a beginning a millisecond before the end": {
			when: with(Terms{NotBefore: nextYear - 1}), by: byMia,
			then: bound(Terms{NotBefore: nextYear - 1}),
		},
		"a beginning of what never ends": {
			when: func() IssueToken { c := with(Terms{NotBefore: nextYear}); c.Never = true; return c }(), by: byMia,
			then: func() []Event {
				e := newIssued
				e.Expires = 0
				return []Event{e, TokenBound{token("new"), Terms{NotBefore: nextYear}}}
			}(),
		},
		"a limit of no requests": {
			when: with(Terms{Limit: Limit{0, 60}}), by: byMia,
			err: ErrInvalid, says: "limit.requests: is 0",
		},
		"a limit in no time": {
			when: with(Terms{Limit: Limit{1, 0}}), by: byMia,
			err: ErrInvalid, says: "limit.window: is 0 seconds",
		},
		"a limit in less than no time": {
			when: with(Terms{Limit: Limit{1, -60}}), by: byMia,
			err: ErrInvalid, says: "limit.window: is -60 seconds",
		},
		"a limit that is looser than the organization's": {
			given: []Event{demands(func(p *Policy) { p.TokenLimit = Limit{10, 60} })},
			when:  with(Terms{Limit: Limit{11, 60}}), by: byMia,
			err: ErrInvalid, says: "limit: is looser than the organization's limit of 10 requests in 60 seconds",
		},
		"a limit as tight as the organization's, in another window": {
			given: []Event{demands(func(p *Policy) { p.TokenLimit = Limit{10, 60} })},
			when:  with(Terms{Limit: Limit{600, 3600}}), by: byMia,
			then: bound(Terms{Limit: Limit{600, 3600}}),
		},

		"an admin makes an administrative token of all that an admin may": {
			when: admin(Grant{Access: FullAccess}), by: byBob,
			then: administrative(Grant{Access: FullAccess}),
		},
		"an owner makes an administrative token of no more": {
			when: admin(custom("organization.delete")),
			then: administrative(custom("organization.delete")),
		},
		"a custom token makes an administrative one of what it may": {
			given: []Event{granted(tokenOf(bob), "tokens.create-administrative", "tokens.check")},
			when:  admin(custom("tokens.check")), by: byBob,
			then: administrative(custom("tokens.check")),
		},
		"a custom token makes no administrative one of more": {
			given: []Event{granted(tokenOf(bob), "tokens.create-administrative", "tokens.check")},
			when:  admin(custom("tokens.check", "members.add")), by: byBob,
			err: ErrDenied, says: "grant: it would allow what you may not do yourself: members.add",
		},
		"a custom token makes no administrative one of full access": {
			given: []Event{granted(tokenOf(bob), "tokens.create-administrative")},
			when:  admin(Grant{Access: FullAccess}), by: byBob,
			err: ErrDenied, says: "what you may not do yourself",
		},
		"a custom token makes no administrative one that is read-only and may more": {
			given: []Event{granted(tokenOf(bob), "tokens.create-administrative", "tokens.check")},
			when:  admin(Grant{Access: ReadOnly}), by: byBob,
			err: ErrDenied, says: "what you may not do yourself",
		},
		"a custom token makes no administrative one of a role that may more": {
			given: []Event{granted(tokenOf(bob), "tokens.create-administrative", "tokens.check")},
			when:  admin(Grant{Access: ByRole, Role: "ci"}), by: byBob,
			err: ErrDenied, says: "what you may not do yourself: organization.read, tokens.rotate-own",
		},
		"a custom token makes no administrative one of the usual grant": {
			given: []Event{granted(tokenOf(bob), "tokens.create-administrative", "tokens.check")},
			when:  admin(Grant{}), by: byBob,
			err: ErrDenied, says: "what you may not do yourself",
		},
		"a custom token makes no personal one that may more": {
			given: []Event{granted(tokenOf(mia), "tokens.create-personal")},
			when:  issueLaptop, by: byMia,
			err: ErrDenied, says: "what you may not do yourself",
		},
		"a custom token makes a personal one that may the same": {
			given: []Event{granted(tokenOf(mia), "tokens.create-personal")},
			when:  gives(custom("tokens.create-personal")), by: byMia,
			then: bound(Terms{Grant: custom("tokens.create-personal")}),
		},
		"a list of what its maker may not, though the holder may not either": {
			when: gives(custom("members.add", "tokens.check")), by: byMia,
			err: ErrDenied, says: "grant: it would allow what you may not do yourself: members.add",
		},
		"a role of what its maker may not, though the holder may not either": {
			when: gives(Grant{Access: ByRole, Role: "admin"}), by: byMia,
			err: ErrDenied, says: "grant: it would allow what you may not do yourself",
		},
		"a read-only token makes nothing": {
			given: []Event{TokenBound{tokenOf(mia), Terms{Grant: Grant{Access: ReadOnly}}}},
			when:  gives(Grant{Access: ReadOnly}), by: byMia,
			err: ErrDenied, says: "needs the permission tokens.create-personal",
		},
		"a token for one resource makes nothing": {
			given: []Event{TokenBound{tokenOf(mia), Terms{Grant: Grant{Resources: []Resource{"engine:*"}}}}},
			when:  gives(Grant{Resources: []Resource{"engine:prod"}}), by: byMia,
			err: ErrDenied, says: "needs the permission tokens.create-personal",
		},
		"a token of some networks makes none that works elsewhere": {
			given: []Event{TokenBound{tokenOf(mia), Terms{Networks: networks("10.0.0.0/8")}}},
			when:  issueLaptop, by: byMia, from: "10.1.2.3",
			err: ErrDenied, says: "what it makes must not work elsewhere",
		},
		"a token of some networks makes none of a wider network": {
			given: []Event{TokenBound{tokenOf(mia), Terms{Networks: networks("10.0.0.0/8")}}},
			when:  with(Terms{Networks: networks("10.0.0.0/7")}), by: byMia, from: "10.1.2.3",
			err: ErrDenied, says: "what it makes must not work elsewhere",
		},
		"a token of some networks makes none of one more": {
			given: []Event{TokenBound{tokenOf(mia), Terms{Networks: networks("10.0.0.0/8")}}},
			when:  with(Terms{Networks: networks("10.0.0.0/8", "192.0.2.0/24")}), by: byMia, from: "10.1.2.3",
			err: ErrDenied, says: "what it makes must not work elsewhere",
		},
		"a token of some networks makes none of the other version": {
			given: []Event{TokenBound{tokenOf(mia), Terms{Networks: networks("0.0.0.0/0")}}},
			when:  with(Terms{Networks: networks("::/0")}), by: byMia, from: "10.1.2.3",
			err: ErrDenied, says: "what it makes must not work elsewhere",
		},
		"a token of some networks makes one within them": {
			given: []Event{TokenBound{tokenOf(mia), Terms{Networks: networks("10.0.0.0/8", "2001:db8::/32")}}},
			when:  with(Terms{Networks: networks("10.0.0.0/8", "10.7.0.0/16", "2001:db8:7::/48")}), by: byMia, from: "2001:db8::1",
			then: bound(Terms{Networks: networks("10.0.0.0/8", "10.7.0.0/16", "2001:db8:7::/48")}),
		},
		"a token of some networks makes nothing from elsewhere": {
			given: []Event{TokenBound{tokenOf(mia), Terms{Networks: networks("10.0.0.0/8")}}},
			when:  with(Terms{Networks: networks("10.0.0.0/8")}), by: byMia, from: "11.1.2.3",
			err: ErrDenied, says: "needs the permission tokens.create-personal",
		},
		"a token of some networks makes nothing from nowhere": {
			given: []Event{TokenBound{tokenOf(mia), Terms{Networks: networks("10.0.0.0/8")}}},
			when:  with(Terms{Networks: networks("10.0.0.0/8")}), by: byMia, from: "not an address",
			err: ErrDenied, says: "needs the permission tokens.create-personal",
		},
	})
}

// What a token's terms can be changed to.
func TestBindToken(t *testing.T) {
	gives := func(g Grant) UpdateToken { return UpdateToken{Token: laptop, Grant: &g} }
	old := Terms{Grant: custom("tokens.check"), Networks: networks("10.0.0.0/8"), NotBefore: today, Limit: Limit{10, 60}}
	changed := func(change func(*Terms)) []Event {
		terms := old
		change(&terms)
		return []Event{TokenBound{laptop, terms}}
	}
	run(t, acmeAfter, tenantScenarios{
		"another grant, and all else stays": {
			given: []Event{laptopIssued, TokenBound{laptop, old}},
			when:  gives(Grant{Access: ReadOnly}), by: byMia,
			then: changed(func(t *Terms) { t.Grant = Grant{Access: ReadOnly} }),
		},
		"other networks": {
			given: []Event{laptopIssued, TokenBound{laptop, old}},
			when:  UpdateToken{Token: laptop, Networks: ptr(networks("192.0.2.0/24"))}, by: byMia,
			then: changed(func(t *Terms) { t.Networks = networks("192.0.2.0/24") }),
		},
		"no networks any more": {
			given: []Event{laptopIssued, TokenBound{laptop, old}},
			when:  UpdateToken{Token: laptop, Networks: &[]Network{}}, by: byMia,
			then: changed(func(t *Terms) { t.Networks = nil }),
		},
		"another beginning": {
			given: []Event{laptopIssued, TokenBound{laptop, old}},
			when:  UpdateToken{Token: laptop, NotBefore: ptr(tomorrow)}, by: byMia,
			then: changed(func(t *Terms) { t.NotBefore = tomorrow }),
		},
		"another limit": {
			given: []Event{laptopIssued, TokenBound{laptop, old}},
			when:  UpdateToken{Token: laptop, Limit: &Limit{1, 1}}, by: byMia,
			then: changed(func(t *Terms) { t.Limit = Limit{1, 1} }),
		},
		"no terms any more": {
			given: []Event{laptopIssued, TokenBound{laptop, old}},
			when:  UpdateToken{Token: laptop, Grant: &Grant{}, Networks: ptr([]Network(nil)), NotBefore: ptr(Instant(0)), Limit: &Limit{}}, by: byMia,
			then: []Event{TokenBound{laptop, Terms{}}},
		},
		"the same terms": {
			given: []Event{laptopIssued, TokenBound{laptop, old}},
			when:  UpdateToken{Token: laptop, Grant: ptr(custom("tokens.check")), Networks: ptr(networks("10.0.0.0/8")), NotBefore: ptr(today), Limit: &Limit{10, 60}}, by: byMia,
		},
		"no networks where there are none": {
			given: []Event{laptopIssued},
			when:  UpdateToken{Token: laptop, Networks: &[]Network{}, Grant: &Grant{Resources: []Resource{}}}, by: byMia,
		},
		"an admin narrows a member's": {
			given: []Event{laptopIssued},
			when:  gives(Grant{Access: ReadOnly}), by: byBob,
			then: []Event{TokenBound{laptop, Terms{Grant: Grant{Access: ReadOnly}}}},
		},
		"an admin widens a member's, up to what the member may": {
			given: []Event{laptopIssued, TokenBound{laptop, old}},
			when:  gives(Grant{Access: FullAccess}), by: byBob,
			then: changed(func(t *Terms) { t.Grant = Grant{Access: FullAccess} }),
		},
		"an admin does not widen an owner's to what only owners may": {
			given: []Event{TokenBound{tokenOf(ann), Terms{Grant: Grant{Access: ReadOnly}}}},
			when:  UpdateToken{Token: tokenOf(ann), Grant: &Grant{Access: FullAccess}}, by: byBob,
			err: ErrDenied, says: "what you may not do yourself: organization.delete",
		},
		"a custom token does not widen itself": {
			given: []Event{laptopIssued, granted(laptop, "tokens.update-own")},
			when:  gives(Grant{Access: FullAccess}), by: Actor{ActorMember, mia, laptop},
			err: ErrDenied, says: "what you may not do yourself",
		},
		"a custom token does not widen another": {
			given: []Event{laptopIssued, granted(laptop, "tokens.update-own"), granted(tokenOf(mia), "tokens.update-own")},
			when:  gives(custom("tokens.update-own", "tokens.create-personal")), by: byMia,
			err: ErrDenied, says: "what you may not do yourself: tokens.create-personal",
		},
		"a list of what whoever changes it may not, though the holder may not either": {
			given: []Event{laptopIssued},
			when:  gives(custom("members.add", "tokens.check")), by: byMia,
			err: ErrDenied, says: "grant: it would allow what you may not do yourself: members.add",
		},
		"a role of what whoever changes it may not, though the holder may not either": {
			given: []Event{laptopIssued},
			when:  gives(Grant{Access: ByRole, Role: Owner}), by: byBob,
			err: ErrDenied, says: "grant: it would allow what you may not do yourself: organization.delete",
		},
		"a list of what only whoever changes it may": {
			given: []Event{laptopIssued},
			when:  gives(custom("members.add", "tokens.check")), by: byBob,
			then: []Event{granted(laptop, "members.add", "tokens.check")},
		},
		"other networks, of a list that its holder may not, by who may not either": {
			given: []Event{laptopIssued, granted(laptop, "members.add", "tokens.check")},
			when:  UpdateToken{Token: laptop, Networks: ptr(networks("10.0.0.0/8"))}, by: byMia,
			err: ErrDenied, says: "grant: it would allow what you may not do yourself: members.add",
		},
		"full access, which names nothing": {
			given: []Event{laptopIssued, TokenBound{laptop, old}},
			when:  gives(Grant{Access: FullAccess}), by: byMia,
			then: changed(func(t *Terms) { t.Grant = Grant{Access: FullAccess} }),
		},
		"a token of some networks does not free itself from them": {
			given: []Event{TokenBound{tokenOf(mia), Terms{Networks: networks("10.0.0.0/8")}}},
			when:  UpdateToken{Token: tokenOf(mia), Networks: &[]Network{}}, by: byMia, from: "10.0.0.1",
			err: ErrDenied, says: "must not work elsewhere",
		},
		"another holder's, by a member": {
			given: []Event{issued(laptop, ada, "laptop")},
			when:  gives(Grant{Access: ReadOnly}), by: byMia,
			err: ErrDenied, says: "needs the permission tokens.update-any",
		},
		"a grant that says two things": {
			given: []Event{laptopIssued},
			when:  gives(Grant{Access: ReadOnly, Permissions: []string{"tokens.check"}}), by: byMia,
			err: ErrInvalid, says: "grant.permissions: does not go",
		},
		"networks that are none": {
			given: []Event{laptopIssued},
			when:  UpdateToken{Token: laptop, Networks: ptr(networks("10.0.0.1/8"))}, by: byMia,
			err: ErrInvalid, says: "is no network",
		},
		"a beginning before 1970": {
			given: []Event{laptopIssued},
			when:  UpdateToken{Token: laptop, NotBefore: ptr(Instant(-1))}, by: byMia,
			err: ErrInvalid, says: "not_before: lies outside",
		},
		"of a revoked token": {
			given: []Event{laptopIssued, TokenRevoked{Token: laptop}},
			when:  gives(Grant{Access: ReadOnly}), by: byMia,
			err: ErrState, says: "the token has ended",
		},
		"other networks, while its grant names what was retired": {
			given: []Event{clones, laptopIssued, granted(laptop, "clones.create"), PermissionRetired{"clones.create"}},
			when:  UpdateToken{Token: laptop, Networks: ptr(networks("10.0.0.0/8"))}, by: byMia,
			err: ErrInvalid, says: "grant: names what is gone by now, or is something else",
		},
		"other networks, while its grant names what is something else by now": {
			given: []Event{clones, laptopIssued, granted(laptop, "clones.create"), PermissionRetired{"clones.create"}, clones},
			when:  UpdateToken{Token: laptop, Networks: ptr(networks("10.0.0.0/8"))}, by: byMia,
			err: ErrInvalid, says: "grant: names what is gone by now, or is something else",
		},
		"other networks, while its grant names a role that is another one by now": {
			given: []Event{RoleCreated{Name: "guest"}, laptopIssued, TokenBound{laptop, Terms{Grant: Grant{Access: ByRole, Role: "guest"}}}, RoleDeleted{"guest"}, RoleCreated{Name: "guest"}},
			when:  UpdateToken{Token: laptop, Networks: ptr(networks("10.0.0.0/8"))}, by: byMia,
			err: ErrInvalid, says: "grant: names what is gone by now, or is something else",
		},
		"the grant anew, which names what is something else by now": {
			given: []Event{clones, laptopIssued, granted(laptop, "clones.create"), PermissionRetired{"clones.create"}, clones},
			when:  gives(custom("clones.create")), by: byMia,
			then: []Event{granted(laptop, "clones.create")},
		},
	})
}

// Nothing of an old grant is left where nobody sees it.
func TestNewGrantLeavesNothingBehind(t *testing.T) {
	o := acmeAfter(clones, laptopIssued, TokenBound{laptop, Terms{Grant: Grant{
		Access: ByList, Permissions: []string{"clones.create", "tokens.create-personal", "tokens.check"}, Resources: []Resource{"engine:prod"},
	}}})
	granted := func(g Grant) Permissions {
		decide(t, o, byMia, UpdateToken{Token: laptop, Grant: &g})
		if got, _ := o.Tokens.Find(laptop); !cmp.Equal(o.Terms(got), Terms{Grant: g}) {
			t.Errorf("terms are %+v, want %+v", o.Terms(got), g)
		}
		v := o.Standing(laptop, &Ask{Now: today})
		return v.Granted
	}
	member, reads := o.permissionsOf(Ordinary), o.permissionsOf("general:read")
	if got := granted(Grant{Access: ReadOnly}); got != reads.and(&member) {
		t.Errorf("read-only may %v", o.Names(got))
	}
	if got := granted(custom("tokens.check")); got != PermissionsOf(TokensCheck) {
		t.Errorf("custom may %v", o.Names(got))
	}
	if got := granted(Grant{Access: ByRole, Role: "schema-only"}); got != PermissionsOf(OrganizationRead, RolesRead, PermissionsRead) {
		t.Errorf("a role may %v", o.Names(got))
	}
	if got := granted(Grant{}); got != member {
		t.Errorf("the usual grant may %v", o.Names(got))
	}
}

func TestResources(t *testing.T) {
	for resource, valid := range map[Resource]bool{
		"engine:prod": true, "engine:*": true, "content-type:a.b/c": true, "e:1": true, "engine:a:b": true, "engine:**": true,
		"engine:straße": true, Resource("e:" + strings.Repeat("a", maxResource-2)): true,
		"": false, ":": false, "*": false, "engine": false, "engine:": false, ":prod": false, "*:*": false, "Engine:prod": false,
		"engine: prod": false, "engine:prod ": false, " engine:prod": false, "engine:a\nb": false, "engine:a\x00": false, "engine:a\x7f": false,
		"engine:a\u202eb": false, "engine:\xff": false, "engine-:a": false, "1:a": false,
		Resource("e:" + strings.Repeat("a", maxResource-1)): false, Resource(strings.Repeat("a", 10_000)): false,
	} {
		err := resource.check()
		if valid {
			checkRefusal(t, err, nil, "")
		} else {
			checkRefusal(t, err, ErrInvalid, "grant.resources: ")
		}
	}
	for pair, want := range map[[2]Resource]bool{
		{"engine:prod", "engine:prod"}:  true,
		{"engine:*", "engine:prod"}:     true,
		{"engine:*", "engine:a:b"}:      true,
		{"engine:*", "project:prod"}:    false,
		{"engine:prod", "engine:*"}:     false,
		{"engine:prod", "engine:prod2"}: false,
		{"engine:p*", "engine:prod"}:    false,
		{"engine:*", "engines:prod"}:    false,
		{"engine:prod", ""}:             false,
		{"engine:*", ""}:                false,
	} {
		if got := pair[0].matches(pair[1]); got != want {
			t.Errorf("%q for %q: %t, want %t", pair[0], pair[1], got, want)
		}
	}
}

func TestNetworks(t *testing.T) {
	for text, in := range map[string]map[string]bool{
		"10.0.0.0/8":    {"10.0.0.0": true, "10.255.255.255": true, "11.0.0.0": false, "9.255.255.255": false, "::ffff:10.0.0.1": false, "": false},
		"192.0.2.7/32":  {"192.0.2.7": true, "192.0.2.6": false, "192.0.2.8": false},
		"0.0.0.0/0":     {"192.0.2.7": true, "::1": false, "": false},
		"2001:db8::/32": {"2001:db8::": true, "2001:db8:ffff::1": true, "2001:db9::": false, "10.0.0.1": false},
		"::/0":          {"::1": true, "10.0.0.1": false, "": false},
		"fe80::/10":     {"fe80::1": true, "fe80::1%eth0": false},
	} {
		checkRefusal(t, CheckNetworks("networks", networks(text)), nil, "")
		for address, want := range in {
			from, _ := netip.ParseAddr(address)
			if got := contains(networks(text), from); got != want {
				t.Errorf("%q in %s: %t, want %t", address, text, got, want)
			}
		}
	}
	if !covered(nil, nil) || !covered(networks("10.0.0.0/8"), nil) || covered(nil, networks("10.0.0.0/8")) {
		t.Error("no network is not everywhere")
	}
}
