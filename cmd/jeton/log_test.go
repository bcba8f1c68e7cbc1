package main

import (
	"encoding/json"
	"strings"
	"testing"
)

// What was refused reads like a sentence.
func TestLogLineOfARefusal(t *testing.T) {
	var c commit
	if err := json.Unmarshal([]byte(`{"position":7,"at":"2026-11-22T12:00:00Z","actor":{"kind":"bearer","token":"0123456789abcdef"},"events":[
		{"kind":"access.refused","data":{"action":"POST tokens/{id}/rotate","code":"revoked","target":"laptop","reason":"the token was revoked","token":"0123456789abcdef","times":12}}]}`), &c); err != nil {
		t.Fatal(err)
	}
	var line strings.Builder
	if err := c.print(&line, "table"); err != nil {
		t.Fatal(err)
	}
	want := `access.refused        token="0123456789abcdef" action="POST tokens/{id}/rotate" code="revoked" target="laptop" reason="the token was revoked" times=12`
	if !strings.Contains(line.String(), want) {
		t.Errorf("the line is\n%s and lacks\n%s", line.String(), want)
	}
}
