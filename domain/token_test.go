package domain

import (
	"strings"
	"testing"
	"time"
)

// laptop is a second token of Mia.
var (
	laptop       = token("laptop")
	laptopIssued = issued(laptop, mia, "laptop")
	issueLaptop  = IssueToken{Token: token("new"), Kind: Personal, Name: "laptop", Hash: hashOf("new")}
	// newIssued is what comes of issueLaptop, by Mia, today.
	newIssued = TokenIssued{token("new"), Personal, mia, "laptop", "", hashOf("new"), nextYear}
)

func TestIssueToken(t *testing.T) {
	issue := func(change func(*IssueToken)) IssueToken { c := issueLaptop; change(&c); return c }
	becomes := func(change func(*TokenIssued)) []Event { e := newIssued; change(&e); return []Event{e} }
	administrative := func(c *IssueToken) { c.Kind = Administrative }
	expires := func(at Instant) IssueToken { return issue(func(c *IssueToken) { c.Expires = at }) }
	run(t, acmeAfter, tenantScenarios{
		"a personal token": {
			when: issueLaptop, by: byMia,
			then: []Event{newIssued},
		},
		"a personal token belongs to whoever asks": {
			when: issueLaptop, by: byBob,
			then: becomes(func(e *TokenIssued) { e.Holder = bob }),
		},
		"with a description": {
			when: issue(func(c *IssueToken) { c.Description = "the gray one, " + strings.Repeat("ö", 900) }), by: byMia,
			then: becomes(func(e *TokenIssued) { e.Description = "the gray one, " + strings.Repeat("ö", 900) }),
		},
		"an administrative token belongs to nobody": {
			when: issue(administrative), by: byBob,
			then: becomes(func(e *TokenIssued) { e.Type, e.Holder = Administrative, AccountID{} }),
		},
		"a member makes no administrative token": {
			when: issue(administrative), by: byMia,
			err: ErrDenied, says: "needs the permission tokens.create-administrative",
		},
		"a demoted admin makes no administrative token": {
			given: []Event{MemberRoleChanged{bob, Ordinary}},
			when:  issue(administrative), by: byBob,
			err: ErrDenied, says: "needs the permission tokens.create-administrative",
		},
		"a demoted admin makes a personal token": {
			given: []Event{MemberRoleChanged{bob, Ordinary}},
			when:  issueLaptop, by: byBob,
			then: becomes(func(e *TokenIssued) { e.Holder = bob }),
		},
		"an auditor makes no personal token": {
			when: issueLaptop, by: byAda,
			err: ErrDenied, says: "needs the permission tokens.create-personal",
		},
		"an auditor makes no administrative token": {
			when: issue(administrative), by: byAda,
			err: ErrDenied, says: "needs the permission tokens.create-administrative",
		},
		"a program makes no personal token": {
			when: issueLaptop, by: byRobot,
			err: ErrDenied, says: "by the person it belongs to",
		},
		"a program makes no administrative token": {
			when: issue(administrative), by: byRobot,
			err: ErrDenied, says: "needs the permission tokens.create-administrative",
		},
		"the system makes no personal token": {
			when: issueLaptop, by: system,
			err: ErrDenied, says: "by the person it belongs to",
		},
		"a suspended member makes none": {
			given: []Event{MemberSuspended{Account: mia}},
			when:  issueLaptop, by: byMia,
			err: ErrDenied, says: "needs the permission tokens.create-personal",
		},
		"a reinstated member makes one": {
			given: []Event{MemberSuspended{Account: mia}, MemberReinstated{mia}},
			when:  issueLaptop, by: byMia,
			then: []Event{newIssued},
		},
		"no kind": {
			when: issue(func(c *IssueToken) { c.Kind = NoKind }),
			err:  ErrInvalid, says: "kind: is missing",
		},
		"a kind that does not exist": {
			when: issue(func(c *IssueToken) { c.Kind = Service + 1 }),
			err:  ErrInvalid, says: "kind: ",
		},
		"no name": {
			when: issue(func(c *IssueToken) { c.Name = "" }),
			err:  ErrInvalid, says: "name: is empty",
		},
		"a name that turns around": {
			when: issue(func(c *IssueToken) { c.Name = "lap\u202etop" }),
			err:  ErrInvalid, says: "name: has a character that does not show, at byte 3",
		},
		"too long a description": {
			when: issue(func(c *IssueToken) { c.Description = strings.Repeat("a", 10_000) }),
			err:  ErrInvalid, says: "description: has 10000 characters",
		},
		"a description of two lines": {
			when: issue(func(c *IssueToken) { c.Description = "a\r\nb" }),
			err:  ErrInvalid, says: "description: has a character",
		},

		"expires when it was asked to": {
			when: expires(tomorrow), by: byMia,
			then: becomes(func(e *TokenIssued) { e.Expires = tomorrow }),
		},
		"expires in a millisecond": {
			when: expires(today + 1), by: byMia,
			then: becomes(func(e *TokenIssued) { e.Expires = today + 1 }),
		},
		"expires at the end of the calendar": {
			when: expires(instant("9999-12-31T23:59:59Z")), by: byMia,
			then: becomes(func(e *TokenIssued) { e.Expires = instant("9999-12-31T23:59:59Z") }),
		},
		"expires after the end of the calendar": {
			when: expires(instant("9999-12-31T23:59:59Z").Add(time.Second)),
			err:  ErrInvalid, says: "expires_at: lies after the year 9999",
		},
		"expires in a million years": {
			when: expires(today + 1e6*365*24*3600*1000),
			err:  ErrInvalid, says: "expires_at: lies after the year 9999",
		},
		"expires now": {
			when: expires(today),
			err:  ErrInvalid, says: "expires_at: 2026-11-22T12:00:00Z has passed",
		},
		"has expired": {
			when: expires(today - 1),
			err:  ErrInvalid, says: "expires_at: 2026-11-22T11:59:59.999Z has passed",
		},
		"expired before 1970": {
			when: expires(-1),
			err:  ErrInvalid, says: "has passed",
		},
		"never expires": {
			when: issue(func(c *IssueToken) { c.Never = true }), by: byMia,
			then: becomes(func(e *TokenIssued) { e.Expires = 0 }),
		},
		"never expires, and tomorrow": {
			when: issue(func(c *IssueToken) { c.Never, c.Expires = true, tomorrow }),
			err:  ErrInvalid, says: "expires_at: is given together with never",
		},
		"a year from 29 February is 1 March": {
			given: []Event{TokenIssued{Token: token("mias"), Type: Personal, Holder: mia, Name: "mia's", Hash: hashOf("mias")}},
			when:  issueLaptop, at: instant("2028-02-29T10:00:00.5Z"),
			by:   Actor{ActorMember, mia, token("mias")},
			then: becomes(func(e *TokenIssued) { e.Expires = instant("2029-03-01T10:00:00.5Z") }),
		},

		"a name that another of the holder's tokens has": {
			given: []Event{laptopIssued},
			when:  issueLaptop, by: byMia,
			err: ErrExists, says: `name: a live token "laptop" exists already`,
		},
		"a name that the first token has": {
			when: issue(func(c *IssueToken) { c.Name = "first token" }), by: byMia,
			err: ErrExists, says: `name: a live token "first token" exists already`,
		},
		"a name that another of the organization's tokens has": {
			when: issue(func(c *IssueToken) { c.Kind, c.Name = Administrative, "robot" }),
			err:  ErrExists, says: `name: a live token "robot" exists already`,
		},
		"a name that somebody else's token has": {
			given: []Event{laptopIssued},
			when:  issueLaptop, by: byBob,
			then: becomes(func(e *TokenIssued) { e.Holder = bob }),
		},
		"a name that the organization's token has": {
			when: issue(func(c *IssueToken) { c.Name = "robot" }), by: byBob,
			then: becomes(func(e *TokenIssued) { e.Holder, e.Name = bob, "robot" }),
		},
		"the organization takes a name that a member's token has": {
			given: []Event{issued(laptop, bob, "laptop")},
			when:  issue(administrative), by: byBob,
			then: becomes(func(e *TokenIssued) { e.Type, e.Holder = Administrative, AccountID{} }),
		},
		"a name that differs in case": {
			given: []Event{laptopIssued},
			when:  issue(func(c *IssueToken) { c.Name = "Laptop" }), by: byMia,
			then: becomes(func(e *TokenIssued) { e.Name = "Laptop" }),
		},
		"a name is free again once its token is revoked": {
			given: []Event{laptopIssued, TokenRevoked{Token: laptop}},
			when:  issueLaptop, by: byMia,
			then: []Event{newIssued},
		},
		"a name is free again once its token has another": {
			given: []Event{laptopIssued, TokenRenamed{laptop, "desktop"}},
			when:  issueLaptop, by: byMia,
			then: []Event{newIssued},
		},
		"a name is taken by a token that was renamed to it": {
			given: []Event{issued(laptop, mia, "desktop"), TokenRenamed{laptop, "laptop"}},
			when:  issueLaptop, by: byMia,
			err: ErrExists, says: "exists already",
		},
		"a name is free again once its token has expired": {
			given: []Event{TokenIssued{Token: laptop, Type: Personal, Holder: mia, Name: "laptop", Expires: tomorrow}},
			when:  issueLaptop, by: byMia, at: tomorrow,
			then: becomes(func(e *TokenIssued) { e.Expires = nextYear.Add(24 * time.Hour) }),
		},
		"a name is taken until its token has expired": {
			given: []Event{TokenIssued{Token: laptop, Type: Personal, Holder: mia, Name: "laptop", Expires: tomorrow}},
			when:  issueLaptop, by: byMia, at: tomorrow - 1,
			err: ErrExists, says: "exists already",
		},
		"an expired token that is revoked later does not free the name of the younger": {
			given: []Event{
				TokenIssued{Token: token("old"), Type: Personal, Holder: mia, Name: "laptop", Expires: today - 1},
				laptopIssued,
				TokenRevoked{Token: token("old")},
			},
			when: issueLaptop, by: byMia,
			err: ErrExists, says: "exists already",
		},
		"a suspended member's names stay taken": {
			given: []Event{laptopIssued, MemberSuspended{Account: mia}, MemberReinstated{mia}},
			when:  issueLaptop, by: byMia,
			err: ErrExists, says: "exists already",
		},
	})
}

// Another end, within what the policy has from the making of the secret on.
func TestMoveToken(t *testing.T) {
	move := func(at Instant) UpdateToken { return UpdateToken{Token: laptop, Expires: &at} }
	moved := func(at Instant) []Event { return []Event{TokenExpiryChanged{laptop, at}} }
	monthly := demands(func(p *Policy) { p.Administrative.Longest, p.Administrative.Never = 30*day, false })
	month := (30 * day).Instant()
	less := granted(tokenOf(mia), "tokens.update-own")
	here := TokenBound{tokenOf(mia), Terms{Networks: networks("10.0.0.0/8")}}
	begins := func(at Instant) TokenBound { return TokenBound{laptop, Terms{NotBefore: at}} }
	adm := func(at, expires Instant) Event {
		return on(at, TokenIssued{Token: laptop, Type: Administrative, Name: "x", Hash: hashOf("x"), Expires: expires})
	}
	run(t, acmeAfter, tenantScenarios{
		"sooner":                 {given: []Event{laptopIssued}, when: move(tomorrow), by: byMia, then: moved(tomorrow)},
		"in a millisecond":       {given: []Event{laptopIssued}, when: move(today + 1), by: byMia, then: moved(today + 1)},
		"later":                  {given: []Event{laptopIssued}, when: move(nextYear + 1), by: byMia, then: moved(nextYear + 1)},
		"never":                  {given: []Event{laptopIssued}, when: move(0), by: byMia, then: moved(0)},
		"what it is":             {given: []Event{laptopIssued}, when: move(nextYear), by: byMia},
		"now":                    {given: []Event{laptopIssued}, when: move(today), by: byMia, err: ErrInvalid, says: "expires_at: 2026-11-22T12:00:00Z has passed"},
		"before 1970":            {given: []Event{laptopIssued}, when: move(-1), by: byMia, err: ErrInvalid, says: "has passed"},
		"after the calendar":     {given: []Event{laptopIssued}, when: move(lastInstant + 1), by: byMia, err: ErrInvalid, says: "after the year 9999"},
		"of an expired one":      {given: []Event{laptopIssued}, when: move(0), at: nextYear, by: byMia, err: ErrDenied, says: "needs the permission"},
		"of a revoked one":       {given: []Event{laptopIssued, TokenRevoked{Token: laptop}}, when: move(0), by: byMia, err: ErrState, says: "the token has ended"},
		"as late as the policy":  {given: []Event{adm(today, tomorrow), monthly}, when: move(today + month), then: moved(today + month)},
		"later than the policy":  {given: []Event{adm(today, tomorrow), monthly}, when: move(today + month + 1), err: ErrInvalid, says: "is later than the policy allows"},
		"never, where it has to": {given: []Event{adm(today, tomorrow), monthly}, when: move(0), err: ErrInvalid, says: "is never, and the policy wants an end"},
		"later than the policy has it from its making on": {
			given: []Event{adm(today-day.Instant(), tomorrow), monthly},
			when:  move(today + month),
			err:   ErrInvalid, says: "expires_at: is later than the policy allows a token that was issued at 2026-11-21T12:00:00Z",
		},
		"as late as the policy has it from its making on": {
			given: []Event{adm(today-day.Instant(), tomorrow), monthly},
			when:  move(today + month - day.Instant()),
			then:  moved(today + month - day.Instant()),
		},
		"with a name that is taken": {
			given: []Event{laptopIssued},
			when:  UpdateToken{Token: laptop, Name: ptr("first token"), Expires: ptr(tomorrow)}, by: byMia,
			err: ErrExists, says: "exists already",
		},

		"later, by a token that may less":              {given: []Event{laptopIssued, less}, when: move(nextYear + 1), by: byMia, err: ErrDenied, says: "grant: it would allow what you may not do yourself"},
		"never, by a token that may less":              {given: []Event{laptopIssued, less}, when: move(0), by: byMia, err: ErrDenied, says: "grant: it would allow what you may not do yourself"},
		"sooner, by a token that may less":             {given: []Event{laptopIssued, less}, when: move(nextYear - 1), by: byMia, then: moved(nextYear - 1)},
		"what it is, by a token that may less":         {given: []Event{laptopIssued, less}, when: move(nextYear), by: byMia},
		"an end at last, by a token that may less":     {given: []Event{laptopIssued, less, TokenExpiryChanged{Token: laptop}}, when: move(nextYear), by: byMia, then: moved(nextYear)},
		"never as before, by a token that may less":    {given: []Event{laptopIssued, less, TokenExpiryChanged{Token: laptop}}, when: move(0), by: byMia},
		"later, of what may as much":                   {given: []Event{laptopIssued, less, granted(laptop, "tokens.update-own")}, when: move(nextYear + 1), by: byMia, then: moved(nextYear + 1)},
		"later, of a list that its holder may not":     {given: []Event{laptopIssued, less, granted(laptop, "tokens.update-own", "members.add")}, when: move(nextYear + 1), by: byMia, then: moved(nextYear + 1)},
		"later, of a list of which a part was retired": {given: []Event{clones, laptopIssued, less, granted(laptop, "clones.create", "tokens.check"), PermissionRetired{"clones.create"}}, when: move(nextYear + 1), by: byMia, err: ErrDenied, says: "what you may not do yourself: tokens.check"},
		"later, by an admin":                           {given: []Event{laptopIssued}, when: move(nextYear + 1), by: byBob, then: moved(nextYear + 1)},
		"later, of an owner's, by an admin":            {given: []Event{issued(laptop, ann, "laptop")}, when: move(nextYear + 1), by: byBob, err: ErrDenied, says: "what you may not do yourself: organization.delete"},
		"sooner, of an owner's, by an admin":           {given: []Event{issued(laptop, ann, "laptop")}, when: move(tomorrow), by: byBob, then: moved(tomorrow)},
		"later, by a token of some networks":           {given: []Event{laptopIssued, here}, when: move(nextYear + 1), by: byMia, from: "10.0.0.1", err: ErrDenied, says: "must not work elsewhere"},
		"sooner, by a token of some networks":          {given: []Event{laptopIssued, here}, when: move(tomorrow), by: byMia, from: "10.0.0.1", then: moved(tomorrow)},

		"to its beginning":                          {given: []Event{laptopIssued, begins(tomorrow)}, when: move(tomorrow), by: byMia, err: ErrInvalid, says: "not_before: is not before the end"},
		"to before its beginning":                   {given: []Event{laptopIssued, begins(tomorrow)}, when: move(tomorrow - 1), by: byMia, err: ErrInvalid, says: "not_before: is not before the end"},
		"to a millisecond after its beginning":      {given: []Event{laptopIssued, begins(tomorrow)}, when: move(tomorrow + 1), by: byMia, then: moved(tomorrow + 1)},
		"to never, with a beginning":                {given: []Event{laptopIssued, begins(tomorrow)}, when: move(0), by: byMia, then: moved(0)},
		"to before its beginning, which has gone":   {given: []Event{laptopIssued, begins(tomorrow)}, when: UpdateToken{Token: laptop, Expires: ptr(tomorrow - 1), NotBefore: ptr(Instant(0))}, by: byMia, then: []Event{TokenBound{laptop, Terms{}}, TokenExpiryChanged{laptop, tomorrow - 1}}},
		"to its new beginning":                      {given: []Event{laptopIssued}, when: UpdateToken{Token: laptop, Expires: ptr(tomorrow), NotBefore: ptr(tomorrow)}, by: byMia, err: ErrInvalid, says: "not_before: is not before the end"},
		"to after its new beginning":                {given: []Event{laptopIssued}, when: UpdateToken{Token: laptop, Expires: ptr(tomorrow + 1), NotBefore: ptr(tomorrow)}, by: byMia, then: []Event{begins(tomorrow), TokenExpiryChanged{laptop, tomorrow + 1}}},
		"a beginning at its end":                    {given: []Event{laptopIssued}, when: UpdateToken{Token: laptop, NotBefore: ptr(nextYear)}, by: byMia, err: ErrInvalid, says: "not_before: is not before the end"},
		"a beginning after its end":                 {given: []Event{laptopIssued}, when: UpdateToken{Token: laptop, NotBefore: ptr(nextYear + 1)}, by: byMia, err: ErrInvalid, says: "not_before: is not before the end"},
		"a beginning a millisecond before its end":  {given: []Event{laptopIssued}, when: UpdateToken{Token: laptop, NotBefore: ptr(nextYear - 1)}, by: byMia, then: []Event{begins(nextYear - 1)}},
		"a beginning after its end, which is later": {given: []Event{laptopIssued}, when: UpdateToken{Token: laptop, NotBefore: ptr(nextYear), Expires: ptr(nextYear + 1)}, by: byMia, then: []Event{begins(nextYear), TokenExpiryChanged{laptop, nextYear + 1}}},
		"a beginning of what never ends":            {given: []Event{laptopIssued, TokenExpiryChanged{Token: laptop}}, when: UpdateToken{Token: laptop, NotBefore: ptr(nextYear)}, by: byMia, then: []Event{begins(nextYear)}},
		"a beginning and never":                     {given: []Event{laptopIssued}, when: UpdateToken{Token: laptop, NotBefore: ptr(nextYear), Expires: ptr(Instant(0))}, by: byMia, then: []Event{begins(nextYear), TokenExpiryChanged{Token: laptop}}},
	})
}

func TestUpdateToken(t *testing.T) {
	rename := func(name string) UpdateToken { return UpdateToken{Token: laptop, Name: &name} }
	describe := func(text string) UpdateToken { return UpdateToken{Token: laptop, Description: &text} }
	adm := TokenIssued{Token: laptop, Type: Administrative, Name: "adm", Hash: hashOf("adm")}
	run(t, acmeAfter, tenantScenarios{
		"another name": {
			given: []Event{laptopIssued},
			when:  rename("desktop"), by: byMia,
			then: []Event{TokenRenamed{laptop, "desktop"}},
		},
		"the same name": {
			given: []Event{laptopIssued},
			when:  rename("laptop"), by: byMia,
		},
		"another description": {
			given: []Event{laptopIssued},
			when:  describe("the gray one"), by: byMia,
			then: []Event{TokenDescribed{laptop, "the gray one"}},
		},
		"no description any more": {
			given: []Event{laptopIssued},
			when:  describe(""), by: byMia,
			then: []Event{TokenDescribed{laptop, ""}},
		},
		"another name and another description": {
			given: []Event{laptopIssued},
			when:  UpdateToken{Token: laptop, Name: ptr("desktop"), Description: ptr("the gray one")}, by: byMia,
			then: []Event{TokenRenamed{laptop, "desktop"}, TokenDescribed{laptop, "the gray one"}},
		},
		"another name and too long a description": {
			given: []Event{laptopIssued},
			when:  UpdateToken{Token: laptop, Name: ptr("desktop"), Description: ptr(strings.Repeat("a", MaxDescription+1))}, by: byMia,
			err: ErrInvalid, says: "description: has 1001 characters",
		},
		"nothing": {
			given: []Event{laptopIssued},
			when:  UpdateToken{Token: laptop}, by: byMia,
		},
		"an admin renames a member's token": {
			given: []Event{laptopIssued},
			when:  rename("desktop"), by: byBob,
			then: []Event{TokenRenamed{laptop, "desktop"}},
		},
		"an admin renames an administrative token": {
			when: UpdateToken{Token: robot, Name: ptr("android")}, by: byBob,
			then: []Event{TokenRenamed{robot, "android"}},
		},
		"a member renames nobody else's": {
			given: []Event{issued(laptop, ada, "laptop")},
			when:  rename("desktop"), by: byMia,
			err: ErrDenied, says: "needs the permission tokens.update-any",
		},
		"a member renames no administrative token": {
			when: UpdateToken{Token: robot, Name: ptr("android")}, by: byMia,
			err: ErrDenied, says: "needs the permission tokens.update-any",
		},
		"an auditor renames not even their own": {
			given: []Event{issued(laptop, ada, "laptop")},
			when:  rename("desktop"), by: byAda,
			err: ErrDenied, says: "needs the permission tokens.update-own",
		},
		"a program renames nothing": {
			given: []Event{laptopIssued},
			when:  rename("desktop"), by: byRobot,
			err: ErrDenied, says: "needs the permission tokens.update-any",
		},
		"a program renames not even itself": {
			when: UpdateToken{Token: robot, Name: ptr("android")}, by: byRobot,
			err: ErrDenied, says: "needs the permission tokens.update-any",
		},
		"a program that may change tokens renames a personal one": {
			given: []Event{laptopIssued, granted(robot, "tokens.update-any")},
			when:  rename("desktop"), by: byRobot,
			then: []Event{TokenRenamed{laptop, "desktop"}},
		},
		"a program that may change tokens renames itself": {
			given: []Event{granted(robot, "tokens.update-any")},
			when:  UpdateToken{Token: robot, Name: ptr("android")}, by: byRobot,
			then: []Event{TokenRenamed{robot, "android"}},
		},
		"a program that may change tokens renames no other administrative one": {
			given: []Event{adm, granted(robot, "tokens.update-any")},
			when:  rename("desktop"), by: byRobot,
			err: ErrDenied, says: "a program may not change or end other administrative tokens",
		},
		"a program that may change tokens narrows no other administrative one": {
			given: []Event{adm, TokenBound{robot, Terms{Grant: Grant{Access: FullAccess}}}},
			when:  UpdateToken{Token: laptop, Grant: ptr(custom("tokens.check"))}, by: byRobot,
			err: ErrDenied, says: "a program may not change or end other administrative tokens",
		},
		"a program that may change tokens ends no other administrative one": {
			given: []Event{adm, TokenBound{robot, Terms{Grant: Grant{Access: FullAccess}}}},
			when:  UpdateToken{Token: laptop, Expires: ptr(today + 1)}, by: byRobot,
			err: ErrDenied, says: "a program may not change or end other administrative tokens",
		},
		"a machine that may change tokens renames no administrative one": {
			given: []Event{adm, ServiceAccountCreated{bot, "bot", "", Grant{Access: FullAccess}}, botIssued},
			when:  rename("desktop"), by: byBot,
			err: ErrDenied, says: "a program may not change or end other administrative tokens",
		},
		"what is no token": {
			when: rename("desktop"),
			err:  ErrNotFound, says: "no such token",
		},
		"a member does not learn what is no token": {
			when: rename("desktop"), by: byMia,
			err: ErrDenied, says: "needs the permission tokens.update-any",
		},
		"no name": {
			given: []Event{laptopIssued},
			when:  rename(""), by: byMia,
			err: ErrInvalid, says: "name: is empty",
		},
		"a name that ends with a blank": {
			given: []Event{laptopIssued},
			when:  rename("desktop "), by: byMia,
			err: ErrInvalid, says: "name: begins or ends with a blank",
		},
		"a name that another of the holder's tokens has": {
			given: []Event{laptopIssued},
			when:  rename("first token"), by: byMia,
			err: ErrExists, says: `a live token "first token" exists already`,
		},
		"a name that one of the admin's own tokens has": {
			given: []Event{laptopIssued, issued(token("desktop"), bob, "desktop")},
			when:  rename("desktop"), by: byBob,
			then: []Event{TokenRenamed{laptop, "desktop"}},
		},
		"a name that a revoked token had": {
			given: []Event{laptopIssued, issued(token("desktop"), mia, "desktop"), TokenRevoked{Token: token("desktop")}},
			when:  rename("desktop"), by: byMia,
			then: []Event{TokenRenamed{laptop, "desktop"}},
		},
		"the name it had before": {
			given: []Event{laptopIssued, TokenRenamed{laptop, "desktop"}},
			when:  rename("laptop"), by: byMia,
			then: []Event{TokenRenamed{laptop, "laptop"}},
		},
		"the name it had before, which a younger one has": {
			given: []Event{laptopIssued, TokenRenamed{laptop, "desktop"}, issued(token("new"), mia, "laptop")},
			when:  rename("laptop"), by: byMia,
			err: ErrExists, says: "exists already",
		},
		"a revoked token": {
			given: []Event{laptopIssued, TokenRevoked{Token: laptop}},
			when:  rename("desktop"), by: byMia,
			err: ErrState, says: "the token has ended",
		},
		"an expired token": {
			given: []Event{TokenIssued{Token: laptop, Type: Personal, Holder: mia, Name: "laptop", Expires: today}},
			when:  describe("old"), by: byMia,
			err: ErrState, says: "the token has ended",
		},
		"a token that expires in a millisecond": {
			given: []Event{TokenIssued{Token: laptop, Type: Personal, Holder: mia, Name: "laptop", Expires: today + 1}},
			when:  describe("old"), by: byMia,
			then: []Event{TokenDescribed{laptop, "old"}},
		},
		"having seen the present state": {
			given: []Event{laptopIssued},
			when:  UpdateToken{Token: laptop, Name: ptr("desktop"), Seen: 2}, by: byMia,
			then: []Event{TokenRenamed{laptop, "desktop"}},
		},
		"what was seen is stale after a new name": {
			given: []Event{laptopIssued, TokenRenamed{laptop, "desktop"}},
			when:  UpdateToken{Token: laptop, Name: ptr("tablet"), Seen: 2}, by: byMia,
			err: ErrStale, says: "changed at position 3",
		},
		"what was seen is stale after a new description": {
			given: []Event{laptopIssued, TokenDescribed{laptop, "gray"}},
			when:  UpdateToken{Token: laptop, Name: ptr("tablet"), Seen: 2}, by: byMia,
			err: ErrStale, says: "changed at position 3",
		},
		"what was seen is not there yet": {
			given: []Event{laptopIssued},
			when:  UpdateToken{Token: laptop, Name: ptr("tablet"), Seen: 99}, by: byMia,
			err: ErrStale, says: "changed at position 2",
		},
		"a change of another token makes nothing stale": {
			given: []Event{laptopIssued, TokenRenamed{tokenOf(mia), "desktop"}},
			when:  UpdateToken{Token: laptop, Name: ptr("tablet"), Seen: 2}, by: byMia,
			then: []Event{TokenRenamed{laptop, "tablet"}},
		},
	})
}

// Who has a name is only a matter of what happened, not of in which order the
// tokens that had it before come to their ends.
func TestNames(t *testing.T) {
	expired := TokenIssued{Token: token("old"), Type: Personal, Holder: mia, Name: "laptop", Expires: today}
	for name, c := range map[string]struct {
		given []Event
		free  bool
	}{
		"never given":                            {nil, true},
		"given":                                  {[]Event{laptopIssued}, false},
		"given to an expired one":                {[]Event{expired}, true},
		"given after one expired":                {[]Event{expired, laptopIssued}, false},
		"given, and an expired one is renamed":   {[]Event{expired, laptopIssued, TokenRenamed{token("old"), "x"}}, false},
		"given, and an expired one is described": {[]Event{expired, laptopIssued, TokenDescribed{token("old"), "x"}}, false},
		"given, and both ended":                  {[]Event{expired, laptopIssued, TokenRevoked{Token: token("old")}, TokenRevoked{Token: laptop}}, true},
		"given, and both ended the other way":    {[]Event{expired, laptopIssued, TokenRevoked{Token: laptop}, TokenRevoked{Token: token("old")}}, true},
		"renamed to itself":                      {[]Event{laptopIssued, TokenRenamed{laptop, "laptop"}}, false},
		"renamed away and back":                  {[]Event{laptopIssued, TokenRenamed{laptop, "x"}, TokenRenamed{laptop, "laptop"}}, false},
		"revoked twice":                          {[]Event{laptopIssued, TokenRevoked{Token: laptop}, issued(token("new"), mia, "laptop"), TokenRevoked{Token: laptop}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			err := acmeAfter(c.given...).free(mia, "laptop", today)
			if free := err == nil; free != c.free {
				t.Errorf("free: %t, want %t", free, c.free)
			}
		})
	}
}

func TestTokenRemembersWhenItChanged(t *testing.T) {
	o := acmeAfter(laptopIssued, TokenRenamed{laptop, "desktop"}, TokenRevoked{Token: robot})
	if got, _ := o.Tokens.Find(laptop); got.Number != 2 || got.Changed != 3 {
		t.Errorf("number %d, changed %d, want 2, 3", got.Number, got.Changed)
	}
	if got, _ := o.Tokens.Find(robot); got.Number != 1 || got.Changed != 4 || !got.Revoked || got.Hash != hashOf("robot") {
		t.Errorf("the revoked token is %+v", got)
	}
	if got, _ := o.Tokens.Find(tokenOf(mia)); got.Number != 1 || got.Changed != 1 {
		t.Errorf("the other token is %+v", got)
	}
}

func TestLive(t *testing.T) {
	for name, c := range map[string]struct {
		token Token
		want  bool
	}{
		"no token":                {Token{}, false},
		"never expires":           {Token{Kind: Personal}, true},
		"expires in a moment":     {Token{Kind: Personal, Expires: today + 1}, true},
		"expires now":             {Token{Kind: Personal, Expires: today}, false},
		"has expired":             {Token{Kind: Personal, Expires: today - 1}, false},
		"revoked":                 {Token{Kind: Personal, Revoked: true}, false},
		"revoked before its time": {Token{Kind: Administrative, Revoked: true, Expires: tomorrow}, false},
	} {
		if got := c.token.Live(today); got != c.want {
			t.Errorf("%s: live is %t, want %t", name, got, c.want)
		}
	}
}
