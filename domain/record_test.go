package domain

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// joeTalk is a session of Joe, at position 2, a command in it, a message about that,
// and an artifact of the message.
var joeTalk = []Event{
	RecordKept{Type: JoeSession}, RecordKept{Type: JoeCommand, Parent: 2}, RecordKept{Type: JoeMessage, Parent: 3}, RecordKept{Type: JoeArtifact, Parent: 4},
}

func facts(text string) json.RawMessage { return json.RawMessage(text) }

var plan = Content{Part: "plan", Object: "acme/1", Digest: hashOf("plan"), Size: 4, Media: "text/plain"}

func TestKeepRecord(t *testing.T) {
	session := KeepRecord{Kind: LabSession}
	says := func(text string) KeepRecord { return KeepRecord{Kind: LabSession, Facts: facts(text)} }
	has := func(content ...Content) KeepRecord { return KeepRecord{Kind: LabSession, Content: content} }
	with := func(change func(*Content)) Content { c := plan; change(&c); return c }
	const twoWays, noObject, noList = "facts: can be read in more than one way", "facts: are no JSON object", "content: is no list of parts that are kept, each once"
	nested := func(depth int) string {
		return `{"a":` + strings.Repeat(`[`, depth) + strings.Repeat(`]`, depth) + `}`
	}
	run(t, acmeAfter, tenantScenarios{
		"a session":              {when: session, then: []Event{RecordKept{Type: LabSession}}},
		"by a member":            {when: session, by: byMia, then: []Event{RecordKept{Type: LabSession}}},
		"by a program":           {when: session, by: byRobot, then: []Event{RecordKept{Type: LabSession}}},
		"by an engine":           {given: []Event{prodThere}, when: session, by: Actor{Kind: ActorToken, Token: token("prods")}, then: []Event{RecordKept{Type: LabSession}}},
		"by an auditor":          {when: session, by: byAda, err: ErrDenied, says: "needs the permission database-lab.sessions"},
		"by who may do the rest": {given: []Event{granted(robot, "database-lab.joe", "database-lab.telemetry", "database-lab.instances", "database-lab.checkup", "database-lab.delete")}, when: session, by: byRobot, err: ErrDenied, says: "needs the permission database-lab.sessions"},
		"of a kind that is none": {when: KeepRecord{Kind: "riddle"}, err: ErrInvalid, says: `kind: "riddle" is no kind of record`},
		"of no kind":             {when: KeepRecord{}, err: ErrInvalid, says: `kind: "" is no kind of record`},

		"everything": {
			given: joeTalk,
			when:  KeepRecord{JoeMessage, 3, "shop", "m1", facts(`{"text":"plan"}`), []Content{plan}},
			then:  []Event{ProjectCreated{"shop"}, RecordKept{JoeMessage, 3, "shop", "m1", facts(`{"text":"plan"}`), []Content{plan}}},
		},
		"in a project that is there": {
			given: []Event{ProjectCreated{"shop"}}, when: KeepRecord{Kind: LabSession, Project: "shop"}, then: []Event{RecordKept{Type: LabSession, Project: "shop"}},
		},
		"in a project that is no name": {when: KeepRecord{Kind: LabSession, Project: "shop "}, err: ErrInvalid, says: "project: begins or ends with a blank"},

		// What it belongs to.
		"a session in something":              {given: joeTalk, when: KeepRecord{Kind: JoeSession, Parent: 2}, err: ErrNotFound, says: "what the joe-session belongs to is not there"},
		"a command in nothing":                {when: KeepRecord{Kind: JoeCommand}, err: ErrNotFound, says: "what the joe-command belongs to is not there"},
		"a command in what is not there":      {when: KeepRecord{Kind: JoeCommand, Parent: 2}, err: ErrNotFound, says: "belongs to is not there"},
		"a command in a command":              {given: joeTalk, when: KeepRecord{Kind: JoeCommand, Parent: 3}, err: ErrNotFound, says: "belongs to is not there"},
		"a command in what is no record":      {given: joeTalk, when: KeepRecord{Kind: JoeCommand, Parent: 1}, err: ErrNotFound, says: "belongs to is not there"},
		"a command in a session that is gone": {given: all(joeTalk, RecordsRemoved{Records: []Position{2}}), when: KeepRecord{Kind: JoeCommand, Parent: 2}, err: ErrNotFound, says: "belongs to is not there"},
		"an artifact of what is gone with its session": {
			given: all(joeTalk, RecordsRemoved{Records: []Position{2}}), when: KeepRecord{Kind: JoeArtifact, Parent: 4}, err: ErrNotFound, says: "belongs to is not there",
		},
		"a message in nothing":    {when: KeepRecord{Kind: JoeMessage}, then: []Event{RecordKept{Type: JoeMessage}}},
		"a message in a session":  {given: joeTalk, when: KeepRecord{Kind: JoeMessage, Parent: 2}, then: []Event{RecordKept{Type: JoeMessage, Parent: 2}}},
		"a message in a command":  {given: joeTalk, when: KeepRecord{Kind: JoeMessage, Parent: 3}, then: []Event{RecordKept{Type: JoeMessage, Parent: 3}}},
		"a message in a message":  {given: joeTalk, when: KeepRecord{Kind: JoeMessage, Parent: 4}, err: ErrNotFound, says: "belongs to is not there"},
		"a log of Joe's session":  {given: joeTalk, when: KeepRecord{Kind: LabSessionLog, Parent: 2}, err: ErrNotFound, says: "belongs to is not there"},
		"a file of a report":      {given: []Event{RecordKept{Type: CheckupReport}}, when: KeepRecord{Kind: CheckupFile, Parent: 2}, then: []Event{RecordKept{Type: CheckupFile, Parent: 2}}},
		"a file of an other file": {given: []Event{RecordKept{Type: CheckupReport}, RecordKept{Type: CheckupFile, Parent: 2}}, when: KeepRecord{Kind: CheckupFile, Parent: 3}, err: ErrNotFound, says: "belongs to is not there"},

		// Its key.
		"a key":                     {when: KeepRecord{Kind: LabInstance, Key: "i1"}, then: []Event{RecordKept{Type: LabInstance, Key: "i1"}}},
		"a key twice":               {given: []Event{RecordKept{Type: LabInstance, Key: "i1"}}, when: KeepRecord{Kind: LabInstance, Key: "i1", Project: "new"}},
		"a key of another kind":     {given: []Event{RecordKept{Type: LabInstance, Key: "i1"}}, when: KeepRecord{Kind: JoeInstance, Key: "i1"}, then: []Event{RecordKept{Type: JoeInstance, Key: "i1"}}},
		"no key twice":              {given: []Event{RecordKept{Type: LabInstance}}, when: KeepRecord{Kind: LabInstance}, then: []Event{RecordKept{Type: LabInstance}}},
		"a key of what was removed": {given: []Event{RecordKept{Type: LabInstance, Key: "i1"}, RecordsRemoved{Records: []Position{2}}}, when: KeepRecord{Kind: LabInstance, Key: "i1"}, then: []Event{RecordKept{Type: LabInstance, Key: "i1"}}},
		"a key of what went with its session": {
			given: []Event{RecordKept{Type: LabSession}, RecordKept{Type: LabSessionLog, Parent: 2, Key: "l1"}, RecordsRemoved{Records: []Position{2}}, RecordKept{Type: LabSession}},
			when:  KeepRecord{Kind: LabSessionLog, Parent: 5, Key: "l1"},
			then:  []Event{RecordKept{Type: LabSessionLog, Parent: 5, Key: "l1"}},
		},
		"a key that does not show": {when: KeepRecord{Kind: LabInstance, Key: "i\n"}, err: ErrInvalid, says: "key: has a character that does not show"},
		"too long a key":           {when: KeepRecord{Kind: LabInstance, Key: strings.Repeat("a", MaxName+1)}, err: ErrInvalid, says: "key: has 101 characters"},

		// Its facts.
		"no facts":                          {when: says(""), then: []Event{RecordKept{Type: LabSession}}},
		"facts of nothing":                  {when: says("{}"), then: []Event{RecordKept{Type: LabSession, Facts: facts("{}")}}},
		"facts of every kind":               {when: says(`{"a":[1,-1.5e+300,true,null,"é😀",{"a":{"b":"\\u0000"}}],"b":1e999}`), then: []Event{RecordKept{Type: LabSession, Facts: facts(`{"a":[1,-1.5e+300,true,null,"é😀",{"a":{"b":"\\u0000"}}],"b":1e999}`)}}},
		"as many facts as fit":              {when: says(`{"a":"` + strings.Repeat("a", MaxFacts-8) + `"}`), then: []Event{RecordKept{Type: LabSession, Facts: facts(`{"a":"` + strings.Repeat("a", MaxFacts-8) + `"}`)}}},
		"one byte more":                     {when: says(`{"a":"` + strings.Repeat("a", MaxFacts-7) + `"}`), err: ErrInvalid, says: "facts: are 8193 bytes"},
		"facts as deep as they may be":      {when: says(nested(maxDepth - 1)), then: []Event{RecordKept{Type: LabSession, Facts: facts(nested(maxDepth - 1))}}},
		"facts that are deeper":             {when: says(nested(maxDepth)), err: ErrInvalid, says: twoWays},
		"facts that are very deep":          {when: says(nested(4000)), err: ErrInvalid, says: twoWays},
		"a list":                            {when: says(`[]`), err: ErrInvalid, says: noObject},
		"a text":                            {when: says(`"a"`), err: ErrInvalid, says: noObject},
		"null":                              {when: says(`null`), then: []Event{RecordKept{Type: LabSession}}},
		"null, with blanks":                 {when: says(" null\n"), then: []Event{RecordKept{Type: LabSession}}},
		"blanks":                            {when: says(" "), err: ErrInvalid, says: noObject},
		"half an object":                    {when: says(`{"a":`), err: ErrInvalid, says: noObject},
		"two objects":                       {when: says(`{}{}`), err: ErrInvalid, says: noObject},
		"a comma too many":                  {when: says(`{"a":1,}`), err: ErrInvalid, says: noObject},
		"a line in a text":                  {when: says("{\"a\":\"\n\"}"), err: ErrInvalid, says: noObject},
		"a name twice":                      {when: says(`{"a":1,"b":2,"a":3}`), err: ErrInvalid, says: twoWays},
		"a name twice, written another way": {when: says(`{"a":1,"\u0061":3}`), err: ErrInvalid, says: twoWays},
		"a name twice, further in":          {when: says(`{"a":[{"b":1,"b":1}]}`), err: ErrInvalid, says: twoWays},
		"a zero byte":                       {when: says(`{"a":["b\u0000"]}`), err: ErrInvalid, says: twoWays},
		"a zero byte in a name":             {when: says(`{"\u0000":1}`), err: ErrInvalid, says: twoWays},
		"no UTF-8":                          {when: says("{\"a\":\"\xff\"}"), err: ErrInvalid, says: twoWays},

		// Its content.
		"two parts":             {when: has(plan, with(func(c *Content) { c.Part, c.Object, c.Media = "data", "acme/2", "" })), then: []Event{RecordKept{Type: LabSession, Content: []Content{plan, {Part: "data", Object: "acme/2", Digest: plan.Digest, Size: 4}}}}},
		"an empty list":         {when: KeepRecord{Kind: LabSession, Facts: facts(""), Content: []Content{}}, then: []Event{RecordKept{Type: LabSession}}},
		"too many parts":        {when: has(slices.Repeat([]Content{plan}, maxContent+1)...), err: ErrInvalid, says: "content: has 17 parts"},
		"a part twice":          {when: has(plan, with(func(c *Content) { c.Object = "acme/2" })), err: ErrInvalid, says: noList},
		"an object twice":       {when: has(plan, with(func(c *Content) { c.Part = "data" })), err: ErrInvalid, says: noList},
		"no object":             {when: has(with(func(c *Content) { c.Object = "" })), err: ErrInvalid, says: noList},
		"less than nothing":     {when: has(with(func(c *Content) { c.Size = -1 })), err: ErrInvalid, says: noList},
		"no part":               {when: has(with(func(c *Content) { c.Part = "" })), err: ErrInvalid, says: "content.part: is empty"},
		"a part without a line": {when: has(with(func(c *Content) { c.Part = "a\x00" })), err: ErrInvalid, says: "content.part: has a character that does not show"},
		"a media of two lines":  {when: has(with(func(c *Content) { c.Media = "text/plain\r\nX: y" })), err: ErrInvalid, says: "content.media: has a character that does not show"},
		"too long a media":      {when: has(with(func(c *Content) { c.Media = strings.Repeat("a", MaxName+1) })), err: ErrInvalid, says: "content.media: has 101 characters"},
	})
}

// What each kind needs, in full, and what it may belong to.
func TestRecordKinds(t *testing.T) {
	want := map[RecordKind]string{
		LabInstance:    "database-lab.instances",
		LabEvent:       "database-lab.telemetry, fixed",
		LabUsage:       "database-lab.telemetry, fixed",
		LabSession:     "database-lab.sessions",
		LabSessionLog:  "database-lab.sessions, of session, fixed",
		LabSessionData: "database-lab.sessions, of session, fixed",
		JoeInstance:    "database-lab.joe",
		JoeSession:     "database-lab.joe",
		JoeCommand:     "database-lab.joe, of joe-session",
		JoeMessage:     "database-lab.joe, of joe-session, of joe-command, of nothing",
		JoeArtifact:    "database-lab.joe, of joe-message, fixed",
		CheckupReport:  "database-lab.checkup",
		CheckupFile:    "database-lab.checkup, of checkup-report, fixed",
	}
	got := map[RecordKind]string{}
	for _, kind := range RecordKinds() {
		for p := range labPermissions.All() {
			o := acmeAfter(all(joeTalk, RecordKept{Type: LabSession}, RecordKept{Type: CheckupReport}, granted(robot, p.String()))...)
			m := Meta{Actor: byRobot, Time: today}
			if _, err := (KeepRecord{Kind: kind}).Decide(o, m); errors.Is(err, ErrDenied) {
				continue
			}
			got[kind] += p.String()
			for number := Position(2); number <= 7; number++ {
				if _, err := (KeepRecord{Kind: kind, Parent: number}).Decide(o, m); err == nil {
					of, _, _ := o.Record(number)
					got[kind] += ", of " + string(of)
				}
			}
			if _, err := (KeepRecord{Kind: kind}).Decide(o, m); err == nil && strings.Contains(got[kind], ", of ") {
				got[kind] += ", of nothing"
			}
			o.Evolve(Commit{Meta: Meta{Position: 100}, Events: []Event{RecordKept{Type: kind}}})
			if _, err := (AmendRecord{Number: 100, Kind: kind}).Decide(o, m); errors.Is(err, ErrState) {
				got[kind] += ", fixed"
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("kinds (-want +got):\n%s", diff)
	}
	if !slices.IsSorted(RecordKinds()) || len(RecordKinds()) != len(want) || len(RecordKinds()) > 255 {
		t.Errorf("kinds are %v", RecordKinds())
	}
}

func TestAmendRecord(t *testing.T) {
	amend := AmendRecord{Number: 2, Kind: LabSession, Facts: facts(`{"state":"done"}`), Content: []Content{plan}}
	amended := []Event{RecordAmended{2, amend.Facts, amend.Content}}
	given := []Event{RecordKept{Type: LabSession}}
	run(t, acmeAfter, tenantScenarios{
		"a session":                  {given: given, when: amend, then: amended},
		"by a member":                {given: given, when: amend, by: byMia, err: ErrDenied, says: "needs the permission database-lab.delete"},
		"by an auditor":              {given: given, when: amend, by: byAda, err: ErrDenied, says: "needs the permission database-lab.sessions"},
		"by who may only delete":     {given: all(given, granted(robot, "database-lab.delete", "database-lab.read")), when: amend, by: byRobot, err: ErrDenied, says: "needs the permission database-lab.sessions"},
		"nothing":                    {given: given, when: AmendRecord{Number: 2, Kind: LabSession}},
		"nothing, in empty lists":    {given: given, when: AmendRecord{Number: 2, Kind: LabSession, Facts: facts(""), Content: []Content{}}},
		"only facts":                 {given: given, when: AmendRecord{Number: 2, Kind: LabSession, Facts: facts("{}")}, then: []Event{RecordAmended{Record: 2, Facts: facts("{}")}}},
		"as another kind":            {given: given, when: AmendRecord{Number: 2, Kind: JoeSession, Facts: facts("{}")}, err: ErrNotFound, says: "there is no such joe-session"},
		"as a kind that is none":     {given: given, when: AmendRecord{Number: 2, Kind: "riddle"}, err: ErrInvalid, says: `kind: "riddle" is no kind of record`},
		"as no kind":                 {given: given, when: AmendRecord{Number: 2}, err: ErrInvalid, says: "is no kind of record"},
		"none":                       {given: given, when: AmendRecord{Number: 3, Kind: LabSession}, err: ErrNotFound, says: "there is no such session"},
		"the number of nothing":      {given: given, when: AmendRecord{Kind: LabSession}, err: ErrNotFound, says: "there is no such session"},
		"one that was removed":       {given: all(given, RecordsRemoved{Records: []Position{2}}), when: amend, err: ErrNotFound, says: "there is no such session"},
		"a command of a session":     {given: joeTalk, when: AmendRecord{Number: 3, Kind: JoeCommand, Facts: facts("{}")}, then: []Event{RecordAmended{Record: 3, Facts: facts("{}")}}},
		"one that went with another": {given: all(joeTalk, RecordsRemoved{Records: []Position{2}}), when: AmendRecord{Number: 3, Kind: JoeCommand}, err: ErrNotFound, says: "there is no such joe-command"},
		"an artifact":                {given: joeTalk, when: AmendRecord{Number: 5, Kind: JoeArtifact, Facts: facts("{}")}, err: ErrState, says: "a joe-artifact is not changed once it is kept"},
		"with facts that are none":   {given: given, when: AmendRecord{Number: 2, Kind: LabSession, Facts: facts("[]")}, err: ErrInvalid, says: "facts: are no JSON object"},
		"with facts that are null":   {given: given, when: AmendRecord{Number: 2, Kind: LabSession, Facts: facts("null")}},
		"with content twice":         {given: given, when: AmendRecord{Number: 2, Kind: LabSession, Content: []Content{plan, plan}}, err: ErrInvalid, says: "content: is no list"},
	})
}

func TestRemoveRecords(t *testing.T) {
	remove := func(kind RecordKind, numbers ...Position) RemoveRecords {
		return RemoveRecords{Kind: kind, Numbers: numbers, Reason: "old"}
	}
	removed := func(numbers ...Position) []Event { return []Event{RecordsRemoved{numbers, "old"}} }
	two := []Event{RecordKept{Type: LabSession}, RecordKept{Type: LabSession}, RecordKept{Type: LabInstance, Key: "i"}, RecordKept{Type: JoeInstance}}
	run(t, acmeAfter, tenantScenarios{
		"one":                         {given: two, when: remove(LabSession, 2), then: removed(2)},
		"two, in order, each once":    {given: two, when: remove(LabSession, 3, 2, 3), then: removed(2, 3)},
		"by an admin":                 {given: two, when: remove(LabSession, 2), by: byBob, then: removed(2)},
		"by a member":                 {given: two, when: remove(LabSession, 2), by: byMia, err: ErrDenied, says: "needs the permission database-lab.delete"},
		"by who sends them":           {given: all(two, granted(robot, "database-lab.sessions")), when: remove(LabSession, 2), by: byRobot, err: ErrDenied, says: "needs the permission database-lab.delete"},
		"an instance, by a member":    {given: two, when: remove(LabInstance, 4), by: byMia, err: ErrDenied, says: "needs the permission database-lab.delete"},
		"an instance, by who may not": {given: all(two, granted(robot, "database-lab.delete")), when: remove(LabInstance, 4), by: byRobot, err: ErrDenied, says: "needs the permission database-lab.instances"},
		"an instance of Joe":          {given: all(two, granted(robot, "database-lab.joe")), when: remove(JoeInstance, 5), by: byRobot, err: ErrDenied, says: "needs the permission database-lab.delete"},
		"a session as an instance":    {given: two, when: remove(LabInstance, 2), by: byMia, err: ErrNotFound, says: "there is no such instance"},
		"one of several is not there": {given: two, when: remove(LabSession, 2, 9), err: ErrNotFound, says: "there is no such session"},
		"one of several is another":   {given: two, when: remove(LabSession, 2, 4), err: ErrNotFound, says: "there is no such session"},
		"one that was removed":        {given: all(two, RecordsRemoved{Records: []Position{2}}), when: remove(LabSession, 2), err: ErrNotFound, says: "there is no such session"},
		"one that went with another":  {given: all(joeTalk, RecordsRemoved{Records: []Position{2}}), when: remove(JoeCommand, 3), err: ErrNotFound, says: "there is no such joe-command"},
		"none":                        {given: two, when: remove(LabSession), err: ErrInvalid, says: "ids: has 0 numbers"},
		"too many":                    {given: two, when: remove(LabSession, slices.Repeat([]Position{2}, maxRemoved+1)...), err: ErrInvalid, says: "ids: has 1001 numbers"},
		"the most there may be":       {given: two, when: remove(LabSession, slices.Repeat([]Position{2}, maxRemoved)...), then: removed(2)},
		"of a kind that is none":      {given: two, when: remove("riddle", 2), err: ErrInvalid, says: `kind: "riddle" is no kind of record`},
		"too long a reason":           {given: two, when: RemoveRecords{LabSession, []Position{2}, strings.Repeat("a", MaxReason+1)}, err: ErrInvalid, says: "reason: has 1001 characters"},
	})
	numbers := []Position{3, 2}
	if _, err := remove(LabSession, numbers...).Decide(acmeAfter(two...), Meta{Actor: byAnn, Time: today}); err != nil || numbers[0] != 3 {
		t.Errorf("what was asked for became %v, %v", numbers, err)
	}
}

// TestTheAuthorOfARecord: what one has sent only they change and take back, with
// whichever token of theirs, and who may delete it.
func TestTheAuthorOfARecord(t *testing.T) {
	o := acmeAfter(laptopIssued, TokenBound{robot, Terms{Grant: Grant{Access: ByRole, Role: "general:write"}}})
	keep := func(at Position, by Actor, kind RecordKind, parent Position) {
		o.Evolve(Commit{Meta: Meta{Position: at, Actor: by, Time: today}, Events: []Event{RecordKept{Type: kind, Parent: parent}}})
	}
	keep(50, byMia, LabSession, 0)
	keep(51, byRobot, LabSession, 0)
	keep(52, byMia, JoeInstance, 0)
	keep(53, byMia, JoeSession, 0)
	keep(54, byMia, JoeCommand, 53)
	byLaptop := byMia
	byLaptop.Token = laptop
	amend := func(number Position, kind RecordKind, text string) OrganizationCommand {
		return AmendRecord{Number: number, Kind: kind, Facts: facts(text)}
	}
	remove := func(number Position) OrganizationCommand {
		return RemoveRecords{Kind: JoeInstance, Numbers: []Position{number}}
	}
	for name, c := range map[string]struct {
		by      Actor
		command OrganizationCommand
		err     error
	}{
		"one's own":                          {byMia, amend(50, LabSession, `{"a":1}`), nil},
		"with another token":                 {byLaptop, amend(50, LabSession, `{"a":1}`), nil},
		"a program's":                        {byMia, amend(51, LabSession, `{"a":1}`), ErrDenied},
		"the program its own":                {byRobot, amend(51, LabSession, `{"a":1}`), nil},
		"the program another's":              {byRobot, amend(50, LabSession, `{"a":1}`), ErrDenied},
		"who may delete":                     {byAnn, amend(50, LabSession, `{"a":1}`), nil},
		"take back":                          {byMia, remove(52), nil},
		"take back another's":                {byRobot, remove(52), ErrDenied},
		"what everybody may":                 {byRobot, amend(54, JoeCommand, `{"favorite":true}`), nil},
		"what everybody may, and more":       {byRobot, amend(54, JoeCommand, `{"favorite":true,"response":"x"}`), ErrDenied},
		"what everybody may, of other kinds": {byRobot, amend(53, JoeSession, `{"favorite":true}`), ErrDenied},
	} {
		if _, err := c.command.Decide(o, Meta{Actor: c.by, Time: today}); !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
			t.Errorf("%s: %v, want %v", name, err, c.err)
		}
	}
}

// With what it belongs to a record is gone, and only that.
func TestRecordsGoTogether(t *testing.T) {
	o := acmeAfter(all(joeTalk, RecordKept{Type: JoeSession, Key: "other"}, RecordKept{Type: JoeMessage, Key: "alone"})...)
	there := func() (all []string) {
		for number := range Position(12) {
			if kind, parent, known := o.Record(number); known {
				all = append(all, fmt.Sprintf("%d %s of %d", number, kind, parent))
			}
		}
		return all
	}
	want := []string{"2 joe-session of 0", "3 joe-command of 2", "4 joe-message of 3", "5 joe-artifact of 4", "6 joe-session of 0", "7 joe-message of 0"}
	if diff := cmp.Diff(want, there()); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	decide(t, o, byAnn, RemoveRecords{Kind: JoeMessage, Numbers: []Position{4}})
	if diff := cmp.Diff([]string{want[0], want[1], want[4], want[5]}, there()); diff != "" {
		t.Errorf("without a message (-want +got):\n%s", diff)
	}
	decide(t, o, byAnn, RemoveRecords{Kind: JoeSession, Numbers: []Position{2}})
	if diff := cmp.Diff(want[4:], there()); diff != "" {
		t.Errorf("without a session (-want +got):\n%s", diff)
	}
	for kind, key := range map[RecordKind]string{JoeSession: "other", JoeMessage: "alone"} {
		if _, known := o.RecordKeyed(kind, key); !known {
			t.Errorf("the %s %q has lost its key", kind, key)
		}
	}
	if at, known := o.RecordKeyed(JoeMessage, "other"); known || at != 0 {
		t.Errorf("a key of a session is that of the message %d", at)
	}
	if _, _, known := acmeAfter().Record(2); known {
		t.Error("another organization has it too")
	}
}

// The key of a record that is gone with its session may be another's by now, which
// keeps it when the old one is removed by its number.
func TestAKeyIsWhoseItIs(t *testing.T) {
	o := acmeAfter(RecordKept{Type: LabSession}, RecordKept{Type: LabSessionLog, Parent: 2, Key: "l"}, RecordsRemoved{Records: []Position{2}},
		RecordKept{Type: LabSession}, RecordKept{Type: LabSessionLog, Parent: 5, Key: "l"}, RecordsRemoved{Records: []Position{3}})
	if at, known := o.RecordKeyed(LabSessionLog, "l"); !known || at != 6 {
		t.Errorf("the key is that of %d, %t, want 6", at, known)
	}
}

// A record of a kind that this program does not know stops it: it would take it for
// another one.
func TestAnUnknownKindOfRecordStopsTheReader(t *testing.T) {
	for _, stored := range []string{`{"kind":"riddle"}`, `{"kind":""}`, `{"kind":"session "}`, `{"kind":"Session"}`, `{"kind":1}`} {
		if e, err := ReadEvent("record.kept", []byte(stored)); err == nil {
			t.Errorf("%s is read as %+v", stored, e)
		}
	}
	for _, kind := range RecordKinds() {
		e, err := ReadEvent("record.kept", []byte(`{"kind":"`+string(kind)+`"}`))
		if err != nil || e.(RecordKept).Type != kind {
			t.Errorf("%s is read as %+v, %v", kind, e, err)
		}
		if got, _, known := acmeAfter(e).Record(2); !known || got != kind {
			t.Errorf("%s is kept as %s", kind, got)
		}
	}
}

// FuzzFacts: what is taken as facts is one object in UTF-8, can be stored and is read
// back as what it was.
func FuzzFacts(f *testing.F) {
	for _, text := range []string{"", "{}", "null", `{"a":1,"a":2}`, `{"a":{"b":[1e999,"\u0000"]}}`, "{\"\xff\":1}", `{"a":[[[[]]]]}`, `{"<":"&"}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if checkFacts(text) != nil || plainFacts(text) == nil {
			return
		}
		var want, got map[string]any
		d := json.NewDecoder(strings.NewReader(string(text)))
		d.UseNumber()
		if err := d.Decode(&want); err != nil || want == nil {
			t.Fatalf("%q is taken: %v", text, err)
		}
		stored, err := json.Marshal(RecordKept{Type: LabSession, Facts: text})
		if err != nil {
			t.Fatalf("%q can't be stored: %v", text, err)
		}
		again, err := ReadEvent("record.kept", stored)
		if err != nil {
			t.Fatalf("%q can't be read back: %v", text, err)
		}
		d = json.NewDecoder(strings.NewReader(string(again.(RecordKept).Facts)))
		d.UseNumber()
		if err := d.Decode(&got); err != nil || cmp.Diff(want, got) != "" {
			t.Errorf("%q is read back as %s, %v", text, again.(RecordKept).Facts, err)
		}
	})
}
