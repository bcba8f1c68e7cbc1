package domain

import (
	"fmt"
	"strings"
	"testing"
)

// A project comes into being when it is first named, by whoever may do what names it.
func TestProjects(t *testing.T) {
	named := func(name string) KeepRecord { return KeepRecord{Kind: LabSession, Project: name} }
	in := func(name string) Event { return RecordKept{Type: LabSession, Project: name} }
	run(t, acmeAfter, tenantScenarios{
		"the first time":        {when: named("shop"), by: byMia, then: []Event{ProjectCreated{"shop"}, in("shop")}},
		"the second time":       {given: []Event{ProjectCreated{"shop"}}, when: named("shop"), by: byMia, then: []Event{in("shop")}},
		"in capitals":           {given: []Event{ProjectCreated{"shop"}}, when: named("Shop"), by: byMia, then: []Event{ProjectCreated{"Shop"}, in("Shop")}},
		"in another script":     {when: named("магазин №1"), by: byMia, then: []Event{ProjectCreated{"магазин №1"}, in("магазин №1")}},
		"none":                  {when: named(""), by: byMia, then: []Event{RecordKept{Type: LabSession}}},
		"the longest":           {when: named(strings.Repeat("é", MaxName)), by: byMia, then: []Event{ProjectCreated{strings.Repeat("é", MaxName)}, in(strings.Repeat("é", MaxName))}},
		"too long a name":       {when: named(strings.Repeat("é", MaxName+1)), by: byMia, err: ErrInvalid, says: "project: has 101 characters"},
		"a blank":               {when: named(" "), by: byMia, err: ErrInvalid, says: "project: begins or ends with a blank"},
		"a line":                {when: named("a\nb"), by: byMia, err: ErrInvalid, says: "project: has a character that does not show"},
		"no UTF-8":              {when: named("a\xff"), by: byMia, err: ErrInvalid, says: "project: is not UTF-8"},
		"by who may not":        {when: named("shop"), by: byAda, err: ErrDenied, says: "needs the permission database-lab.sessions"},
		"with a record refused": {when: KeepRecord{Kind: LabSessionLog, Project: "shop"}, by: byMia, err: ErrNotFound, says: "belongs to is not there"},
	})
	o := acmeAfter(ProjectCreated{"shop"}, ProjectCreated{"mine"})
	for name, want := range map[string]Position{"shop": 2, "mine": 3, "Shop": 0, "": 0} {
		if at, known := o.Project(name); at != want || known != (want != 0) {
			t.Errorf("the project %q is %d, %t, want %d", name, at, known, want)
		}
	}
	if _, known := acmeAfter().Project("shop"); known {
		t.Error("another organization has it too")
	}
}

func TestProjectsRunOut(t *testing.T) {
	o := acmeAfter()
	for i := range maxProjects {
		o.Evolve(Commit{Meta: Meta{Position: Position(i + 2)}, Events: []Event{ProjectCreated{fmt.Sprintf("p%d", i)}}})
	}
	m := Meta{Actor: byAnn, Time: today}
	for name, c := range map[string]command[*Organization]{
		"a record":  KeepRecord{Kind: LabSession, Project: "one more"},
		"an engine": func() RegisterEngine { c := registerProd; c.Listing.Project = "one more"; return c }(),
		"a listing": UpdateEngine{Engine: 1, Listing: &Listing{Project: "one more"}},
	} {
		if name == "a listing" {
			o.Evolve(Commit{Meta: Meta{Position: 1}, Events: []Event{EngineRegistered{Name: "x"}}})
		}
		_, err := c.Decide(o, m)
		checkRefusal(t, err, ErrState, "there are 10000 projects, and no more fit")
	}
	if _, err := (KeepRecord{Kind: LabSession, Project: "p9999"}).Decide(o, m); err != nil {
		t.Errorf("one that is there: %v", err)
	}
}
