package projections

import (
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"jeton/domain"
)

// family is what the kinds of events have in common that begin with the same word.
type family struct {
	noun   string // of what they are about
	field  string // which of their fields names it
	made   bool   // without that field it is what the commit makes: its number is the position
	people bool   // it is a person: no name is kept
}

// families are those whose kinds say what they are about in a way of their own. Others
// are about a noun that is called like the word, and a field that is called so names it:
// a kind that comes later needs no line here if it does as most do.
var families = map[string]family{
	"account":         {noun: "account", field: "account", people: true},
	"operator":        {noun: "operator", field: "account", people: true},
	"member":          {noun: "member", field: "account", people: true},
	"holder":          {noun: "member", field: "account", people: true}, // or a service account
	"organization":    {noun: "organization", field: "organization"},
	"service_account": {noun: "service_account", field: "account"},
	"policy":          {noun: "policy"},
	"permission":      {noun: "permission", field: "name"},
	"role":            {noun: "role", field: "name"},
	"tokens":          {noun: "token"},
	"approval":        {noun: "token", field: "token"},
	"engine":          {noun: "engine", field: "engine", made: true},
	"project":         {noun: "project", field: "project", made: true},
	"record":          {noun: "record", field: "record", made: true},
	"records":         {noun: "record"},
	"access":          {noun: "access", field: "target"},
	"audit":           {noun: "audit", field: "action"},
	"webhook":         {noun: "webhook", field: "webhook", made: true},
	"epoch":           {noun: "epoch", field: "number"},
	"signing_key":     {noun: "signing_key", field: "number"},
}

func familyOf(kind string) family {
	word, _, _ := strings.Cut(kind, ".")
	if f, known := families[word]; known {
		return f
	}
	return family{noun: word, field: word}
}

// What became of what somebody wanted.
const (
	Done          = "done"
	RefusedAction = "refused"
)

// outcome is what a kind of event says became of it: of most that it was done.
func (family) outcome(kind string) string {
	if kind == "access.refused" || kind == "token.reused" {
		return RefusedAction
	}
	return Done
}

// target is the id or the number of what an event is about.
func (f family) target(m domain.Meta, said eventFacts) string {
	target := said.text(f.field)
	switch {
	case f.noun == "organization" && target == "":
		return m.Organization.String()
	case f.made && (target == "" || target == "0"):
		return strconv.FormatUint(uint64(m.Position), 10)
	}
	return clip(target, longestThing)
}

// relatedFields name what an event is about besides its target.
var relatedFields = []string{"token", "holder", "account", "engine"}

// What stands for several fields of what was.
const (
	eachField = "*"
	itsFields = "+" // those that the event has, too
)

// fieldsChanged are the fields of a thing that kinds of events change: what they were before
// is kept. Of what ends all is kept.
var fieldsChanged = map[string][]string{
	"organization.renamed":      {"name"},
	"organization.deleted":      {eachField},
	"policy.changed":            {eachField},
	"permission.defined":        {eachField}, // of the one of that name that was retired: none
	"permission.retired":        {eachField},
	"role.changed":              {"description", "permissions"},
	"role.deleted":              {eachField},
	"member.role_changed":       {"role"},
	"member.suspended":          {"suspended", "reason"},
	"member.reinstated":         {"suspended", "reason"},
	"member.removed":            {eachField},
	"holder.limited":            {"limit"},
	"service_account.renamed":   {"name"},
	"service_account.described": {"description"},
	"service_account.granted":   {"grant"},
	"service_account.switched":  {"disabled"},
	"service_account.deleted":   {eachField},
	"token.bound":               {"grant", "networks", "not_before", "limit"},
	"token.unbound":             {"unbound"},
	"token.renamed":             {"name"},
	"token.described":           {"description"},
	"token.expiry_changed":      {"expires"},
	"token.rotated":             {"made", "expires", "previous_until"},
	"token.reused":              {"reused"},
	"token.overlap_ended":       {"previous_until"},
	"token.revoked":             {eachField},
	"token.burned":              {eachField},
	"approval.requested":        {"waiting"},
	"approval.given":            {"waiting"},
	"approval.refused":          {eachField},
	"approval.lapsed":           {eachField},
	"engine.listed":             {"project", "url", "description", "permissions", "resources"},
	"engine.door_set":           {"door"},
	"engine.switched":           {"disabled"},
	"engine.token_replaced":     {"token"},
	"engine.deleted":            {eachField},
	"record.amended":            {itsFields},
	"records.removed":           {eachField},
}

// facts is what an event says, field by field.
type eventFacts map[string]jsontext.Value

func factsOf(e domain.Event) (eventFacts, error) {
	text, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	said := eventFacts{}
	return said, json.Unmarshal(text, &said)
}

// text is a field that is a text or a number; of any other, and of none, it is empty.
func (f eventFacts) text(field string) string {
	value := f[field]
	switch value.Kind() {
	case '0':
		return string(value)
	case '"':
		text, err := jsontext.AppendUnquote(nil, value)
		if err != nil {
			return ""
		}
		return string(text)
	}
	return ""
}

// name is what the event calls the thing that it is about.
func (f eventFacts) name(of family) string {
	if of.people {
		return ""
	}
	for _, field := range []string{"name", "key"} {
		if name := f.text(field); name != "" {
			return clip(name, longestThing)
		}
	}
	return ""
}
