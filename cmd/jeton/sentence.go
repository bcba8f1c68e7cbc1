package main

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// narrator tells what has happened in sentences, by the names that things had then: it
// hears of each name before it is told of the thing again.
type narrator struct {
	tokens   map[string]string // names by ids
	programs map[string]string // names of service accounts by their ids
	engines  map[string]string // names by numbers
}

func newNarrator() *narrator {
	return &narrator{tokens: map[string]string{}, programs: map[string]string{}, engines: map[string]string{}}
}

// told is an event as the service shows it.
type told struct {
	Kind   string         `json:"kind"`
	Data   map[string]any `json:"data"`
	Person *person        `json:"person"`
}

// doer is who did something.
type doer struct {
	Kind  string `json:"kind"`
	Email string `json:"email"`
	Name  string `json:"name"`
	Token string `json:"token"`
}

// sentence is an event as a person reads it. What it names is remembered.
func (n *narrator) sentence(position uint64, by *doer, e told) string {
	n.hear(position, e)
	say, known := sentences[e.Kind]
	if !known {
		facts, _ := json.Marshal(e.Data)
		return fmt.Sprintf("%s: %s %s", n.doer(by), e.Kind, facts)
	}
	text := n.doer(by) + " " + n.fill(say, position, e)
	if reason, _ := e.Data["reason"].(string); reason != "" {
		text += ": " + reason
	}
	return text
}

// hear learns names.
func (n *narrator) hear(position uint64, e told) {
	name, _ := e.Data["name"].(string)
	token, _ := e.Data["token"].(string)
	account, _ := e.Data["account"].(string)
	switch e.Kind {
	case "token.issued":
		n.tokens[token] = name
	case "service_account.created":
		n.programs[account] = name
	case "engine.registered":
		n.engines[strconv.FormatUint(position, 10)] = name
	}
}

// renames learns names that were changed by an event that has been told.
func (n *narrator) renames(e told) {
	name, _ := e.Data["name"].(string)
	switch token, _ := e.Data["token"].(string); e.Kind {
	case "token.renamed":
		n.tokens[token] = name
	case "service_account.renamed":
		account, _ := e.Data["account"].(string)
		n.programs[account] = name
	}
}

func (n *narrator) doer(by *doer) string {
	switch {
	case by == nil:
		return "time"
	case by.Email != "":
		return by.Email
	case by.Name != "":
		return "the service account " + by.Name
	case by.Kind == "system":
		return "the service itself"
	case by.Kind == "bearer":
		return "somebody who had the secret"
	case by.Token != "":
		return n.token(by.Token)
	}
	return "somebody from elsewhere"
}

func (n *narrator) token(id string) string {
	if name := n.tokens[id]; name != "" {
		return fmt.Sprintf("the token %q (%s)", name, id)
	}
	return "the token " + id
}

// sentences are what is said of each kind of event, behind who did it.
var sentences = map[string]string{
	"organization.created":      "made the organization {alias}, called {name}",
	"organization.renamed":      "called the organization {name}",
	"organization.deleted":      "deleted the organization",
	"account.registered":        "registered the account of {email}",
	"policy.changed":            "changed the policy",
	"permission.defined":        "defined the permission {name}",
	"permission.retired":        "retired the permission {name}",
	"role.created":              "made the role {name}, which allows {permissions}",
	"role.changed":              "changed the role {name}, which now allows {permissions}",
	"role.deleted":              "deleted the role {name}",
	"member.added":              "added {who} with the role {role}",
	"member.role_changed":       "gave {who} the role {role}",
	"member.suspended":          "suspended {who}",
	"member.reinstated":         "reinstated {who}",
	"member.removed":            "removed {who}",
	"holder.limited":            "limited how often the tokens of {who} can be used",
	"service_account.created":   "made the service account {name}",
	"service_account.renamed":   "called {who} {name}",
	"service_account.described": "described {who}",
	"service_account.granted":   "changed what {who} may do",
	"service_account.switched":  "{switched} {who}",
	"service_account.deleted":   "deleted {who}",
	"token.issued":              "made {token}{holder}",
	"token.bound":               "bound {token}",
	"token.unbound":             "let {token} follow its holder everywhere",
	"token.renamed":             "called {token} {name}",
	"token.described":           "described {token}",
	"token.expiry_changed":      "moved the end of {token} to {expires}",
	"token.expiring":            "warned that {token} ends in {days} days",
	"token.rotated":             "gave {token} a new secret",
	"token.reused":              "saw an old secret of {token} being used",
	"token.revoked":             "revoked {token}",
	"tokens.revoked":            "revoked {count} tokens at once",
	"token.burned":              "burned {token}",
	"token.overlap_ended":       "ended the old secret of {token}",
	"engine.registered":         "registered the engine {name}",
	"engine.listed":             "described {engine}",
	"engine.door_set":           "set who comes in at {engine}",
	"engine.switched":           "{switched} {engine}",
	"engine.token_replaced":     "gave {engine} another access token, {token}",
	"engine.deleted":            "deleted {engine}",
	"project.created":           "made the project {name}",
	"record.kept":               "sent a record",
	"record.amended":            "amended a record",
	"records.removed":           "removed records",
	"approval.requested":        "asked for the approval of {token}",
	"approval.given":            "approved {token}",
	"approval.refused":          "refused {token}",
	"approval.lapsed":           "let {token} lapse, which nobody had approved in time",
	"access.refused":            "was refused {action}",
	"audit.read":                "read what has happened ({action})",
	"audit.exported":            "exported what has happened ({action})",
	"account.deleted":           "deleted the account of {who}",
	"account.erased":            "erased what was known of {who}",
	"operator.named":            "made {who} an operator",
	"operator.dismissed":        "dismissed {who} as an operator",
	"signing_key.set":           "gave the log the signing key {number}",
	"epoch.sealed":              "signed the log up to position {position}, as epoch {number}",
	"webhook.created":           "made the webhook {name}",
	"webhook.changed":           "changed the webhook {webhook}",
	"webhook.switched":          "{switched} the webhook {webhook}",
	"webhook.secret_replaced":   "gave the webhook {webhook} another secret",
	"webhook.deleted":           "deleted the webhook {webhook}",

	"time.expired":     "passed: {token} has expired",
	"time.begun":       "passed: {token} works from now on",
	"time.overlapped":  "passed: the old secret of {token} works no longer",
	"time.out-of-time": "passed: nobody can approve {token} any more",
	"time.idle":        "passed: {token} was not used for too long",
}

// fill puts what an event says into its sentence.
func (n *narrator) fill(say string, position uint64, e told) string {
	text := func(name string) string {
		switch value := e.Data[name].(type) {
		case string:
			return value
		case float64:
			return strconv.FormatFloat(value, 'f', -1, 64)
		case []any:
			return list(value)
		}
		return "nothing"
	}
	who := e.Person.String()
	if account := text("account"); who == "" {
		who = first(named("the service account ", n.programs[account]), "the service account "+account)
	}
	numbered := func(name string) string { // without a number: what this commit has made
		if number := text(name); number != "nothing" {
			return number
		}
		return strconv.FormatUint(position, 10)
	}
	number := numbered("engine")
	holder, switched := "", "enabled"
	if _, held := e.Data["holder"]; held {
		account := text("holder")
		holder = " for " + first(e.Person.String(), named("the service account ", n.programs[account]), "the service account "+account)
	}
	if off, _ := e.Data["disabled"].(bool); off {
		switched = "disabled"
	}
	return strings.NewReplacer(
		"{token}", n.token(text("token")), "{who}", who, "{holder}", holder, "{switched}", switched,
		"{engine}", first(named("the engine ", n.engines[number]), "the engine "+number), "{name}", text("name"), "{alias}", text("alias"), "{email}", text("email"),
		"{role}", text("role"), "{permissions}", text("permissions"), "{days}", text("days"), "{count}", text("count"), "{expires}", text("expires"),
		"{action}", text("action"), "{position}", text("position"), "{number}", text("number"), "{webhook}", numbered("webhook"),
	).Replace(say)
}

func named(what, name string) string {
	if name == "" {
		return ""
	}
	return what + name
}

func list(values []any) string {
	var texts []string
	for _, value := range values {
		texts = append(texts, fmt.Sprint(value))
	}
	return first(strings.Join(texts, ", "), "nothing")
}
