package domain

import (
	"reflect"
	"strings"
	"testing"
)

func TestRecordRefusal(t *testing.T) {
	record := func(e AccessRefused) RecordRefusal { return RecordRefusal{e} }
	long := strings.Repeat("ß", 2*MaxReason)
	run(t, acmeAfter, tenantScenarios{
		"as it is": {
			when: record(AccessRefused{"POST tokens", "denied", "laptop", "this needs more", robot, 3}), by: byMia,
			then: []Event{AccessRefused{"POST tokens", "denied", "laptop", "this needs more", robot, 3}},
		},
		"once is not counted": {
			when: record(AccessRefused{Action: "POST check", Code: "denied", Times: 1}), by: byRobot,
			then: []Event{AccessRefused{Action: "POST check", Code: "denied"}},
		},
		"whoever shows what is good no more": {
			given: []Event{laptopIssued, TokenRevoked{Token: laptop}},
			when:  record(AccessRefused{Action: "POST check", Code: "revoked", Token: laptop}), by: Actor{Kind: ActorBearer, Token: laptop},
			then: []Event{AccessRefused{Action: "POST check", Code: "revoked", Token: laptop}},
		},
		"what strangers send can't prevent it": {
			when: record(AccessRefused{Action: "GET \x00\xff", Code: "foreign", Target: "a\u202eb\n" + long, Reason: long}),
			then: []Event{AccessRefused{
				Action: "GET \uFFFD\uFFFD", Code: "foreign",
				Target: "a\uFFFDb\uFFFD" + strings.Repeat("ß", MaxName-5) + "…", Reason: strings.Repeat("ß", MaxReason-1) + "…",
			}},
		},
	})
}

func TestRecordRead(t *testing.T) {
	run(t, acmeAfter, tenantScenarios{
		"a list":     {when: RecordRead{AuditRead{"list", "limit=7", 2}}, by: byAda, then: []Event{AuditRead{"list", "limit=7", 2}}},
		"once":       {when: RecordRead{AuditRead{"list", "", 1}}, by: byAda, then: []Event{AuditRead{Action: "list"}}},
		"with blots": {when: RecordRead{AuditRead{Action: "list", Query: "\xff"}}, by: byAda, then: []Event{AuditRead{Action: "list", Query: "\uFFFD"}}},
		"an export":  {when: RecordExport{AuditExported{"export", "format=csv\n"}}, by: byAda, then: []Event{AuditExported{"export", "format=csv\uFFFD"}}},
	})
}

// What is worth knowing changes nothing but where the organization is.
func TestOccurrencesChangeNothing(t *testing.T) {
	before, after := acmeAfter(), acmeAfter(AccessRefused{Action: "POST tokens", Token: robot}, AuditRead{Action: "list"}, AuditExported{Action: "export"})
	if after.Version != before.Version+3 {
		t.Errorf("the version is %d, want %d", after.Version, before.Version+3)
	}
	after.Version = before.Version
	after.forget()
	before.forget()
	if !reflect.DeepEqual(before, after) {
		t.Errorf("the organization is\n%+v\nand was\n%+v", after, before)
	}
	if touched := after.Touched(); len(touched.Holders)+len(touched.Tokens) != 0 {
		t.Errorf("engines are told of %v", touched)
	}
}

// Of the tokens that are not good, those are worth knowing whose bearers should not
// have them any more.
func TestUnfit(t *testing.T) {
	known := Token{Kind: Personal}
	worth := map[Reason]bool{
		ReasonRevoked: true, ReasonExpired: true, ReasonSuspended: true, ReasonWaiting: true, ReasonNotYet: true,
		ReasonNetwork: true, ReasonPolicy: true, ReasonIdle: true, ReasonUnbound: true, ReasonDeleted: true,
	}
	for _, reason := range Reasons {
		why, is := (&Verdict{Reason: reason, Token: known}).Unfit()
		if is != worth[reason] || is != (why != "") {
			t.Errorf("%q: %q, %v", reason, why, is)
		}
		if why, is := (&Verdict{Reason: reason}).Unfit(); is || why != "" {
			t.Errorf("%q of what is no token: %q", reason, why)
		}
	}
}

func TestBurnedIsRemembered(t *testing.T) {
	o := acmeAfter(laptopIssued, TokenBurned{Token: laptop}, TokenRevoked{Token: robot})
	if !o.Burned(laptop) || o.Burned(robot) || o.Burned(tokenOf(ann)) {
		t.Errorf("burned: laptop %v, robot %v, ann's %v", o.Burned(laptop), o.Burned(robot), o.Burned(tokenOf(ann)))
	}
}
