package domain

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestWebhooks(t *testing.T) {
	hooks := Announcement{Name: "hooks", URL: "https://hooks.example.org/in", Shape: StandardWebhook}
	siem := Announcement{Name: "siem", URL: "https://siem.example.org/in", Shape: SIEMWebhook, Events: []string{"api_tokens"}, Headers: []byte("sealed")}
	with := func(a Announcement, change func(*Announcement)) Announcement { change(&a); return a }
	create := func(change func(*Announcement)) CreateWebhook {
		return CreateWebhook{Announcement: with(hooks, change)}
	}
	there, siemThere := []Event{WebhookCreated{hooks}}, []Event{WebhookCreated{siem}}
	url := func(text string) CreateWebhook { return create(func(a *Announcement) { a.URL = text }) }
	for _, text := range []string{
		"", "hooks.example.org", "//hooks.example.org", "ftp://hooks.example.org", "https://", "https:///in", "https://ann@hooks.example.org",
		"https://ann:pass@hooks.example.org", "https://hooks.example.org/#part", "https://hooks.example.org/#", "javascript:alert(1)", "https://a b/",
		"https://hooks.example.org:port/", "https://[::1/",
	} {
		run(t, acmeAfter, tenantScenarios{"no address: " + text: {when: url(text), err: ErrInvalid, says: "url: is no address of a receiver"}})
	}
	for _, text := range []string{"token", "token.", "token.*.*", "*", ".*", "token.iss*", "token.lost", "tok.*", "api_tokens", "Token.issued", ""} {
		run(t, acmeAfter, tenantScenarios{"no kind: " + text: {
			when: create(func(a *Announcement) { a.Events = []string{"token.issued", text} }), err: ErrInvalid, says: "is no kind of event",
		}})
	}
	run(t, acmeAfter, tenantScenarios{
		"one":               {when: CreateWebhook{Announcement: hooks}, then: there},
		"by an admin":       {when: CreateWebhook{Announcement: hooks}, by: byBob, then: there},
		"by an auditor":     {when: CreateWebhook{Announcement: hooks}, by: byAda, err: ErrDenied, says: "webhooks.write"},
		"by a member":       {when: CreateWebhook{Announcement: hooks}, by: byMia, err: ErrDenied, says: "webhooks.write"},
		"by a token":        {when: CreateWebhook{Announcement: hooks}, by: byRobot, err: ErrDenied, says: "webhooks.write"},
		"for a SIEM":        {when: CreateWebhook{Announcement: siem}, then: siemThere},
		"switched off":      {when: CreateWebhook{Announcement: hooks, Disabled: true}, then: []Event{WebhookCreated{hooks}, WebhookSwitched{Disabled: true}}},
		"of some kinds":     {when: create(func(a *Announcement) { a.Events = []string{"token.*", "role.created", "token.*"} }), then: []Event{WebhookCreated{with(hooks, func(a *Announcement) { a.Events = []string{"role.created", "token.*"} })}}},
		"no name":           {when: create(func(a *Announcement) { a.Name = "" }), err: ErrInvalid, says: "name: is empty"},
		"a taken name":      {given: there, when: CreateWebhook{Announcement: hooks}, err: ErrExists, says: "there is a webhook"},
		"a name of before":  {given: []Event{WebhookCreated{hooks}, WebhookDeleted{2}}, when: CreateWebhook{Announcement: hooks}, then: there},
		"no shape":          {when: create(func(a *Announcement) { a.Shape = "" }), err: ErrInvalid, says: "is no shape"},
		"a SIEM of kinds":   {when: CreateWebhook{Announcement: with(siem, func(a *Announcement) { a.Events = []string{"token.*"} })}, err: ErrInvalid, says: "is no event of a SIEM"},
		"http":              {when: url("http://hooks.example.org"), err: ErrInvalid, says: "url: is not encrypted"},
		"http, allowed":     {when: CreateWebhook{Announcement: with(hooks, func(a *Announcement) { a.URL = "http://10.0.0.1/" }), Plain: true}, then: []Event{WebhookCreated{with(hooks, func(a *Announcement) { a.URL = "http://10.0.0.1/" })}}},
		"ftp, allowed":      {when: CreateWebhook{Announcement: with(hooks, func(a *Announcement) { a.URL = "ftp://10.0.0.1/" }), Plain: true}, err: ErrInvalid, says: "is no address"},
		"too long a URL":    {when: url("https://a/" + strings.Repeat("a", MaxDescription)), err: ErrInvalid, says: "url: has"},
		"too many events":   {when: create(func(a *Announcement) { a.Events = slices.Repeat([]string{"token.*"}, maxWebhookEvents+1) }), err: ErrInvalid, says: "events: are 101"},
		"too large headers": {when: create(func(a *Announcement) { a.Headers = make([]byte, maxWebhookHeaders+1) }), err: ErrInvalid, says: "headers: are too long"},

		"rename":           {given: there, when: UpdateWebhook{Webhook: 2, Name: new("other")}, then: []Event{WebhookChanged{2, with(hooks, func(a *Announcement) { a.Name = "other" })}}},
		"rename to itself": {given: there, when: UpdateWebhook{Webhook: 2, Name: new("hooks")}},
		"rename to another": {
			given: []Event{WebhookCreated{hooks}, WebhookCreated{siem}}, when: UpdateWebhook{Webhook: 2, Name: new("siem")}, err: ErrExists, says: "there is a webhook",
		},
		"another address":          {given: there, when: UpdateWebhook{Webhook: 2, URL: new("https://a.test/")}, then: []Event{WebhookChanged{2, with(hooks, func(a *Announcement) { a.URL = "https://a.test/" })}}},
		"a plain address":          {given: there, when: UpdateWebhook{Webhook: 2, URL: new("http://a.test/")}, err: ErrInvalid, says: "url: is not encrypted"},
		"other events":             {given: there, when: UpdateWebhook{Webhook: 2, Events: &[]string{"role.*"}}, then: []Event{WebhookChanged{2, with(hooks, func(a *Announcement) { a.Events = []string{"role.*"} })}}},
		"all events":               {given: siemThere, when: UpdateWebhook{Webhook: 2, Events: &[]string{}}, then: []Event{WebhookChanged{2, with(siem, func(a *Announcement) { a.Events = nil })}}},
		"wrong events":             {given: there, when: UpdateWebhook{Webhook: 2, Events: &[]string{"orgs"}}, err: ErrInvalid, says: "is no kind of event"},
		"headers stay on a path":   {given: siemThere, when: UpdateWebhook{Webhook: 2, URL: new("https://SIEM.example.org/other")}, then: []Event{WebhookChanged{2, with(siem, func(a *Announcement) { a.URL = "https://SIEM.example.org/other" })}}},
		"headers do not move":      {given: siemThere, when: UpdateWebhook{Webhook: 2, URL: new("https://evil.test/")}, err: ErrInvalid, says: "headers: were given for another origin"},
		"not even to another port": {given: siemThere, when: UpdateWebhook{Webhook: 2, URL: new("https://siem.example.org:444/")}, err: ErrInvalid, says: "headers: were given for another origin"},
		"headers that are given again": {
			given: siemThere, when: UpdateWebhook{Webhook: 2, URL: new("https://evil.test/"), Headers: ptr([]byte("others"))},
			then: []Event{WebhookChanged{2, with(siem, func(a *Announcement) { a.URL, a.Headers = "https://evil.test/", []byte("others") })}},
		},
		"headers that are dropped": {
			given: siemThere, when: UpdateWebhook{Webhook: 2, URL: new("https://evil.test/"), Headers: ptr([]byte{})},
			then: []Event{WebhookChanged{2, with(siem, func(a *Announcement) { a.URL, a.Headers = "https://evil.test/", nil })}},
		},
		"switch off":            {given: there, when: UpdateWebhook{Webhook: 2, Disabled: new(true)}, then: []Event{WebhookSwitched{Webhook: 2, Disabled: true}}},
		"switch off twice":      {given: []Event{WebhookCreated{hooks}, WebhookSwitched{Webhook: 2, Disabled: true}}, when: UpdateWebhook{Webhook: 2, Disabled: new(true)}},
		"both":                  {given: there, when: UpdateWebhook{Webhook: 2, Disabled: new(true), Name: new("other")}, then: []Event{WebhookChanged{2, with(hooks, func(a *Announcement) { a.Name = "other" })}, WebhookSwitched{Webhook: 2, Disabled: true}}},
		"change a stale one":    {given: there, when: UpdateWebhook{Webhook: 2, Name: new("other"), Seen: 1}, err: ErrStale, says: "changed at position 2"},
		"change none":           {when: UpdateWebhook{Webhook: 2, Name: new("other")}, err: ErrNotFound, says: "no such webhook"},
		"change, by an auditor": {given: there, when: UpdateWebhook{Webhook: 2, Name: new("other")}, by: byAda, err: ErrDenied, says: "webhooks.write"},

		"another secret":                 {given: there, when: ReplaceWebhookSecret{Webhook: 2}, then: []Event{WebhookSecretReplaced{2, today.Add(24 * time.Hour)}}},
		"another secret at once":         {given: there, when: ReplaceWebhookSecret{Webhook: 2, AtOnce: true}, then: []Event{WebhookSecretReplaced{2, today}}},
		"another secret of a stale one":  {given: there, when: ReplaceWebhookSecret{Webhook: 2, Seen: 1}, err: ErrStale, says: "changed at position 2"},
		"another secret of none":         {when: ReplaceWebhookSecret{Webhook: 2}, err: ErrNotFound, says: "no such webhook"},
		"another secret, by an auditor":  {given: there, when: ReplaceWebhookSecret{Webhook: 2}, by: byAda, err: ErrDenied, says: "webhooks.write"},
		"delete":                         {given: there, when: DeleteWebhook{Webhook: 2}, then: []Event{WebhookDeleted{2}}},
		"delete twice":                   {given: []Event{WebhookCreated{hooks}, WebhookDeleted{2}}, when: DeleteWebhook{Webhook: 2}, err: ErrNotFound, says: "no such webhook"},
		"delete a stale one":             {given: there, when: DeleteWebhook{Webhook: 2, Seen: 1}, err: ErrStale, says: "changed at position 2"},
		"delete, by an auditor":          {given: there, when: DeleteWebhook{Webhook: 2}, by: byAda, err: ErrDenied, says: "webhooks.write"},
		"the receiver is gone":           {given: there, when: SwitchWebhookOff{2, "gone", 2}, by: system, then: []Event{WebhookSwitched{2, true, "gone"}}},
		"the receiver is gone, by Ann":   {given: there, when: SwitchWebhookOff{2, "gone", 2}, err: ErrDenied, says: "only the service itself"},
		"the receiver is gone, again":    {given: []Event{WebhookCreated{hooks}, WebhookSwitched{Webhook: 2, Disabled: true}}, when: SwitchWebhookOff{2, "gone", 3}, by: system},
		"the receiver of before is gone": {given: []Event{WebhookCreated{hooks}, WebhookChanged{2, siem}}, when: SwitchWebhookOff{2, "gone", 2}, by: system},
		"the receiver of none is gone":   {when: SwitchWebhookOff{2, "gone", 2}, by: system},
	})
}

func TestWebhooksRunOut(t *testing.T) {
	o := acmeAfter()
	hook := Announcement{URL: "https://hooks.example.org/in", Shape: StandardWebhook}
	for i := range MaxWebhooks {
		hook.Name = string(rune('a' + i))
		decide(t, o, byAnn, CreateWebhook{Announcement: hook})
	}
	hook.Name = "one more"
	_, err := CreateWebhook{Announcement: hook}.Decide(o, Meta{Actor: byAnn, Time: today})
	checkRefusal(t, err, ErrState, "there are 20 webhooks")
	decide(t, o, byAnn, DeleteWebhook{Webhook: o.Webhooks()[7].Number})
	decide(t, o, byAnn, CreateWebhook{Announcement: hook})
	if n := len(o.Webhooks()); n != MaxWebhooks {
		t.Errorf("%d webhooks, want %d", n, MaxWebhooks)
	}
}

// What was handed out of the state does not change with it.
func TestWebhooksEvolve(t *testing.T) {
	hook := Announcement{Name: "hooks", URL: "https://hooks.example.org/in", Shape: StandardWebhook}
	o := acmeAfter(together(WebhookCreated{hook}, WebhookSwitched{Disabled: true}))
	before := o.Webhooks()
	decide(t, o, byAnn, ReplaceWebhookSecret{Webhook: 2})
	decide(t, o, byAnn, UpdateWebhook{Webhook: 2, Disabled: new(false), Events: &[]string{"token.*"}})
	if w := before[0]; !w.Disabled || w.Generation != 1 || w.Events != nil || w.Changed != 2 || w.Created != today {
		t.Errorf("the webhook was %+v", w)
	}
	w, _ := o.Webhook(2)
	if w.Disabled || w.Generation != 2 || w.Previous != today.Add(24*time.Hour) || w.Changed != 4 || !slices.Equal(w.Events, []string{"token.*"}) {
		t.Errorf("the webhook is %+v", w)
	}
}

func TestWebhooksWant(t *testing.T) {
	for _, c := range []struct {
		events []string
		kind   string
		want   bool
	}{
		{nil, "token.issued", true},
		{[]string{"token.*"}, "token.issued", true},
		{[]string{"token.*"}, "tokens.revoked", false},
		{[]string{"role.created", "token.issued"}, "token.issued", true},
		{[]string{"token.issued"}, "token.renamed", false},
	} {
		if got := (Announcement{Events: c.events}).Wants(c.kind); got != c.want {
			t.Errorf("%v wants %s: %t", c.events, c.kind, got)
		}
	}
}
