package domain

import (
	"strings"
	"testing"
	"time"
)

var (
	beta  = OrganizationID{named("beta")}
	first = FirstToken{Token: token("first"), Hash: hashOf("first")}

	// firstIssued is what comes of first, today, for a holder.
	firstIssued = func(holder AccountID) TokenIssued {
		return TokenIssued{token("first"), Personal, holder, "first token", "", hashOf("first"), nextYear}
	}
)

func TestFound(t *testing.T) {
	found := Found{beta, "beta", "Beta", zoe, "zoe@example.org", first, ""}
	with := func(change func(*Found)) Found { c := found; change(&c); return c }
	run(t, emptyPlatform, directoryScenarios{
		"found": {
			when: found, by: system,
			then: []Event{
				AccountRegistered{zoe, "zoe@example.org"}, OperatorNamed{zoe, beta},
				OrganizationCreated{beta, "beta", "Beta"}, MemberAdded{zoe, Owner}, firstIssued(zoe),
			},
		},
		"the first token ends when it was asked to": {
			when: with(func(c *Found) { c.First.Expires = tomorrow }), by: system,
			then: []Event{
				AccountRegistered{zoe, "zoe@example.org"}, OperatorNamed{zoe, beta},
				OrganizationCreated{beta, "beta", "Beta"}, MemberAdded{zoe, Owner},
				TokenIssued{token("first"), Personal, zoe, "first token", "", hashOf("first"), tomorrow},
			},
		},
		"found twice": {
			given: acmeBegins,
			when:  found, by: system,
			err: ErrExists, says: "founded before",
		},
		"a person does not found": {
			when: found, by: byAnn,
			err: ErrDenied, says: "only the service itself",
		},
		"a program does not found": {
			when: found, by: byRobot,
			err: ErrDenied, says: "only the service itself",
		},
		"nobody does not found": {
			when: found, by: Actor{Kind: "root"},
			err: ErrDenied, says: "only the service itself",
		},
		"no e-mail": {
			when: with(func(c *Found) { c.Email = "zoe" }), by: system,
			err: ErrInvalid, says: `email: "zoe" is not an e-mail address`,
		},
		"no alias": {
			when: with(func(c *Found) { c.Alias = "" }), by: system,
			err: ErrInvalid, says: `alias: "" is no alias`,
		},
		"no name": {
			when: with(func(c *Found) { c.Name = "" }), by: system,
			err: ErrInvalid, says: "name: is empty",
		},
		"a first token that has ended": {
			when: with(func(c *Found) { c.First.Expires = today }), by: system,
			err: ErrInvalid, says: "expires_at: 2026-11-22T12:00:00Z has passed",
		},
	})
}

func TestCreateOrganization(t *testing.T) {
	create := CreateOrganization{Organization: beta, Alias: "beta", Name: "Beta", OwnerEmail: "zoe@example.org", Account: zoe, First: first}
	with := func(change func(*CreateOrganization)) CreateOrganization { c := create; change(&c); return c }
	created := OrganizationCreated{beta, "beta", "Beta"}
	run(t, platformAfter, directoryScenarios{
		"for somebody new": {
			when: create,
			then: []Event{AccountRegistered{zoe, "zoe@example.org"}, created, MemberAdded{zoe, Owner}, firstIssued(zoe)},
		},
		"for somebody known, in another case": {
			given: []Event{AccountRegistered{mia, "Mia@Example.org"}},
			when:  with(func(c *CreateOrganization) { c.OwnerEmail = "mIA@example.ORG" }),
			then:  []Event{created, MemberAdded{mia, Owner}, firstIssued(mia)},
		},
		"for the operator": {
			when: with(func(c *CreateOrganization) { c.OwnerEmail, c.Account = "", AccountID{} }),
			then: []Event{created, MemberAdded{ann, Owner}, firstIssued(ann)},
		},
		"another operator creates": {
			given: []Event{OperatorNamed{mia, acme}},
			when:  create, by: byMia,
			then: []Event{AccountRegistered{zoe, "zoe@example.org"}, created, MemberAdded{zoe, Owner}, firstIssued(zoe)},
		},
		"an owner who is no operator does not": {
			given: []Event{MemberRoleChanged{mia, Owner}},
			when:  create, by: byMia,
			err: ErrDenied, says: "only an operator",
		},
		"an operator who was dismissed does not": {
			given: []Event{OperatorNamed{mia, acme}, OperatorDismissed{ann}},
			when:  create,
			err:   ErrDenied, says: "only an operator",
		},
		"an operator with a secret that was replaced does not": {
			when: create, also: func(m *Meta) { m.Replaced = true },
			err: ErrDenied, says: "the secret that you show was replaced by a new one",
		},
		"a program does not": {
			when: create, by: byRobot,
			err: ErrDenied, says: "only an operator",
		},
		"a program that says it is the operator does not": {
			when: create, by: Actor{Kind: ActorToken, Account: ann, Token: robot},
			err: ErrDenied, says: "only an operator",
		},
		"the system does not": {
			when: create, by: Actor{Kind: ActorSystem, Account: ann},
			err: ErrDenied, says: "only an operator",
		},
		"an alias that is taken": {
			when: with(func(c *CreateOrganization) { c.Alias = "acme" }),
			err:  ErrExists, says: `alias "acme" is taken`,
		},
		"an alias of an organization that is called something else now": {
			given: []Event{OrganizationRenamed{"Acme Works"}},
			when:  with(func(c *CreateOrganization) { c.Alias = "acme" }),
			err:   ErrExists, says: `alias "acme" is taken`,
		},
		"an alias twice for the same organization": {
			when: with(func(c *CreateOrganization) { c.Organization, c.Alias = acme, "acme" }),
			err:  ErrExists, says: `alias "acme" is taken`,
		},
		"an alias that differs in a hyphen": {
			when: with(func(c *CreateOrganization) { c.Alias = "ac-me" }),
			then: []Event{AccountRegistered{zoe, "zoe@example.org"}, OrganizationCreated{beta, "ac-me", "Beta"}, MemberAdded{zoe, Owner}, firstIssued(zoe)},
		},
		"a name that another has": {
			when: with(func(c *CreateOrganization) { c.Name = "Acme" }),
			then: []Event{AccountRegistered{zoe, "zoe@example.org"}, OrganizationCreated{beta, "beta", "Acme"}, MemberAdded{zoe, Owner}, firstIssued(zoe)},
		},
		"no alias": {
			when: with(func(c *CreateOrganization) { c.Alias = "Acme" }),
			err:  ErrInvalid, says: `alias: "Acme" is no alias`,
		},
		"no name": {
			when: with(func(c *CreateOrganization) { c.Name = " Beta" }),
			err:  ErrInvalid, says: "name: begins or ends with a blank",
		},
		"no e-mail": {
			when: with(func(c *CreateOrganization) { c.OwnerEmail = "Zoe <zoe@example.org>" }),
			err:  ErrInvalid, says: "owner_email: ",
		},
		"a first token that has ended": {
			when: with(func(c *CreateOrganization) { c.First.Expires = today - 1 }),
			err:  ErrInvalid, says: "has passed",
		},
	})
}

func TestRegisterAccount(t *testing.T) {
	run(t, platformAfter, directoryScenarios{
		"somebody new": {
			when: RegisterAccount{zoe, "Zoe@Example.org"},
			then: []Event{AccountRegistered{zoe, "Zoe@Example.org"}},
		},
		"somebody known": {
			when: RegisterAccount{zoe, "Ann@example.org"},
		},
		"somebody known, in another case": {
			when: RegisterAccount{zoe, "aNN@EXAMPLE.org"},
		},
		"somebody with a longer address": {
			when: RegisterAccount{zoe, "ann@example.org.uk"},
			then: []Event{AccountRegistered{zoe, "ann@example.org.uk"}},
		},
		"any person may": {
			when: RegisterAccount{zoe, "zoe@example.org"}, by: byAda,
			then: []Event{AccountRegistered{zoe, "zoe@example.org"}},
		},
		"a program may not": {
			when: RegisterAccount{zoe, "zoe@example.org"}, by: byRobot,
			err: ErrDenied, says: "only a person",
		},
		"the system may not": {
			when: RegisterAccount{zoe, "zoe@example.org"}, by: system,
			err: ErrDenied, says: "only a person",
		},
		"no e-mail": {
			when: RegisterAccount{zoe, ""},
			err:  ErrInvalid, says: "email: ",
		},
	})
}

func TestDirectoryFindsWhatItLists(t *testing.T) {
	d := platformAfter(
		AccountRegistered{zoe, "Zoe@Example.org"},
		OrganizationCreated{beta, "beta", "Beta"},
	)
	if d.Version != 3 {
		t.Errorf("version is %d, want 3", d.Version)
	}
	if got, want := d.Accounts[zoe], (Account{2, "Zoe@Example.org"}); got != want {
		t.Errorf("account is %v, want %v: with the case it was given", got, want)
	}
	if got := d.AccountNumbers[2]; got != zoe {
		t.Errorf("account 2 is %v, want %v", got, zoe)
	}
	for email, want := range map[string]AccountID{
		"zoe@example.org": zoe, "ZOE@EXAMPLE.ORG": zoe, "ann@example.org": ann, "zoe": {}, "": {},
	} {
		if got, known := d.AccountOf(email); got != want || known == want.IsZero() {
			t.Errorf("account of %q is %v, %t, want %v", email, got, known, want)
		}
	}
	if got, want := d.Organizations[beta], (Entry{3, "beta"}); got != want {
		t.Errorf("entry is %v, want %v", got, want)
	}
	if d.Aliases["acme"] != acme || d.Aliases["beta"] != beta || d.Numbers[1] != acme || d.Numbers[3] != beta {
		t.Errorf("aliases are %v, numbers %v", d.Aliases, d.Numbers)
	}
}

// What is about tokens and members alone leaves the directory as it is.
func TestDirectoryKeepsOutOfOrganizations(t *testing.T) {
	d := platformAfter(all(joined(zoe, Owner), TokenRevoked{Token: robot}, MemberRemoved{Account: ann})...)
	if len(d.Accounts) != 1 || len(d.Organizations) != 1 || d.Operators[ann] != acme {
		t.Errorf("directory is %v", d)
	}
	o := acmeAfter(AccountRegistered{zoe, "zoe@example.org"}, OperatorNamed{zoe, acme})
	if _, member := o.Member(zoe); member || o.Version != 3 {
		t.Errorf("organization is %+v", o)
	}
}

func TestFirstTokenLastsAYear(t *testing.T) {
	for name, c := range map[string]struct{ now, want Instant }{
		"as a rule":                   {today, nextYear},
		"over a leap day":             {instant("2027-03-01T00:00:00Z"), instant("2028-03-01T00:00:00Z")},
		"from 29 February to 1 March": {instant("2028-02-29T23:59:59.999Z"), instant("2029-03-01T23:59:59.999Z")},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := first.issue(NewOrganization(acme), zoe, Meta{Time: c.now})
			if err != nil || got.Expires != c.want {
				t.Errorf("expires %v, %v, want %v", got.Expires, err, c.want)
			}
			if life := got.Expires.Time().Sub(c.now.Time()); life > 366*24*time.Hour {
				t.Errorf("lives %v", life)
			}
		})
	}
}

func TestAlias(t *testing.T) {
	for alias, valid := range map[string]bool{
		"acme": true, "a1": true, "ac": true, "a-b": true, "a-1-b": true, "x1-2y": true,
		strings.Repeat("a", MaxAlias): true, strings.Repeat("a", MaxAlias-2) + "-b": true,
		"": false, "a": false, "1a": false, "-a": false, "a-": false, "a--b": false, "Acme": false, "aCme": false,
		"a_b": false, "a.b": false, "a b": false, " acme": false, "acme ": false, "acme\n": false, "a/b": false,
		"äcme": false, "acmé": false, "а1": false, "a*": false, "a>": false, "acme\x00": false, "\xff\xff": false,
		strings.Repeat("a", MaxAlias+1): false, strings.Repeat("a", 10_000): false, "123": false, "..": false,
	} {
		err := checkAlias(alias)
		if valid {
			checkRefusal(t, err, nil, "")
		} else {
			checkRefusal(t, err, ErrInvalid, "alias: ")
		}
	}
}
