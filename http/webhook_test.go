package http

import "testing"

// hasWebhook is a webhook of acme: {name} is its number, {name.hook} its secret.
func hasWebhook(name, url string) func(*world) {
	return func(w *world) {
		w.Helper()
		made := w.made("ann", "POST "+hooksOfAcme, `{"name":"`+name+`","url":"`+url+`"}`)
		w.names[name], w.names[name+".hook"] = number(made["id"]), made["secret"].(string)
	}
}

func TestWebhooks(t *testing.T) {
	const url = "https://hooks.example.org/in"
	there := hasWebhook("hook", url)
	withHeaders := does("ann", "POST "+hooksOfAcme, `{"name":"siem","url":"`+url+`","shape":"siem","events":["orgs"],"headers":{"Authorization":"Splunk hush"}}`)
	run(t, "webhook", map[string]scenario{
		"make one":            {send: "POST " + hooksOfAcme, body: `{"name":"hook","url":"` + url + `","events":["token.*"]}`, status: 201, then: []string{"webhook.created"}},
		"make one for a SIEM": {as: "bob", send: "POST " + hooksOfAcme, body: `{"name":"hook","url":"` + url + `","shape":"siem","events":["orgs"],"headers":{"authorization":"Splunk hush"},"enabled":false}`, status: 201, then: []string{"webhook.created", "webhook.switched"}},
		"make one twice":      {given: there, send: "POST " + hooksOfAcme, body: `{"name":"hook","url":"` + url + `"}`, status: 409},
		"make one again": {
			given: func(w *world) {
				w.send("ann", "POST "+hooksOfAcme, `{"name":"hook","url":"`+url+`"}`, "Idempotency-Key: k1")
			},
			send: "POST " + hooksOfAcme, body: `{"name":"hook","url":"` + url + `"}`, headers: []string{"Idempotency-Key: k1"}, status: 201,
		},
		"an address of the inside": {send: "POST " + hooksOfAcme, body: `{"name":"hook","url":"ftp://10.0.0.1"}`, status: 422},
		"a header of ours":         {send: "POST " + hooksOfAcme, body: `{"name":"hook","url":"` + url + `","headers":{"webhook-id":"x"}}`, status: 422},
		"a host":                   {send: "POST " + hooksOfAcme, body: `{"name":"hook","url":"` + url + `","headers":{"Host":"x"}}`, status: 422},
		"a header of two lines":    {send: "POST " + hooksOfAcme, body: `{"name":"hook","url":"` + url + `","headers":{"X-A":"x\r\nHost: y"}}`, status: 422},
		"a kind that is none":      {send: "POST " + hooksOfAcme, body: `{"name":"hook","url":"` + url + `","events":["lunch.eaten"]}`, status: 422},
		"list":                     {given: all(there, withHeaders), as: "ada", send: "GET " + hooksOfAcme, status: 200},
		"list, as a member":        {given: there, as: "mia", send: "GET " + hooksOfAcme, status: 403},
		"show":                     {given: there, as: "ada", send: "GET " + hooksOfAcme + "/{hook}", status: 200},
		"show none":                {send: "GET " + hooksOfAcme + "/999", status: 404},
		"change":                   {given: there, send: "PATCH " + hooksOfAcme + "/{hook}", body: `{"name":"other","events":["role.*"],"enabled":false,"headers":{"X-From":"here"}}`, status: 200, then: []string{"webhook.changed", "webhook.switched"}},
		"change a stale one":       {given: there, send: "PATCH " + hooksOfAcme + "/{hook}", body: `{"name":"other"}`, headers: []string{`If-Match: "1"`}, status: 412},
		"change nothing":           {given: there, send: "PATCH " + hooksOfAcme + "/{hook}", body: `{"name":"hook"}`, status: 200},
		"delete":                   {given: there, send: "DELETE " + hooksOfAcme + "/{hook}", status: 204, then: []string{"webhook.deleted"}},
		"another secret":           {given: there, send: "POST " + hooksOfAcme + "/{hook}/secret", status: 200, then: []string{"webhook.secret_replaced"}},
		"no dead letters":          {given: there, as: "ada", send: "GET " + hooksOfAcme + "/{hook}/dead-letters", status: 200},
		"replay a wrong one":       {given: there, send: "POST " + hooksOfAcme + "/{hook}/dead-letters/replay", body: `{"letters":["first"]}`, status: 422},
		"replay, as an auditor":    {given: there, as: "ada", send: "POST " + hooksOfAcme + "/{hook}/dead-letters/replay", status: 403},
	})
}

// A test is sent at once, also while the webhook is off, and says what came of it.
func TestWebhookTest(t *testing.T) {
	w, r := newWorld(t), newReceiver(t)
	hasWebhook("hook", r.URL)(w)
	does("ann", "PATCH "+hooksOfAcme+"/{hook}", `{"enabled":false}`)(w)
	for status, want := range map[int]string{200: `{"delivered":true,"status":200}`, 503: `{"delivered":false,"status":503,"error":"answered 503"}`} {
		r.answers(answering(status))
		if answered := w.send("bob", "POST "+hooksOfAcme+"/{hook}/test", ""); answered.body != want+"\n" {
			t.Errorf("a receiver that answers %d: %d, %s", status, answered.status, answered.body)
		}
		if l := r.next(); !verified(l, w.names["hook.hook"]) {
			t.Error("the test is not signed")
		}
	}
	hasWebhook("inside", "https://10.0.0.1/")(w)
	if answered := w.send("bob", "POST "+hooksOfAcme+"/{inside}/test", ""); answered.body != `{"delivered":false,"error":"the address is not allowed"}`+"\n" {
		t.Errorf("an address of the inside: %d, %s", answered.status, answered.body)
	}
	if kinds := w.since(w.last() - 1); kinds[0] != "webhook.created" {
		t.Errorf("the log ends with %v", kinds)
	}
}
