package databaselabtest

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	nethttp "net/http"
	"strconv"
	"strings"
	"testing"

	"gitlab.com/postgres-ai/database-lab/v3/pkg/client/dblabapi/types"
	"gitlab.com/postgres-ai/database-lab/v3/pkg/client/platform"
	"gitlab.com/postgres-ai/database-lab/v3/pkg/models"

	"jeton/domain"
)

// client is the engine's own client, with every call that it has.
func (w *world) client(accessToken string) *platform.Client {
	w.Helper()
	client, err := platform.NewClient(platform.ClientConfig{URL: w.base, AccessToken: accessToken})
	w.must(err)
	return client
}

// get reads a view as Ann does in the console.
func (w *world) get(view string) (rows []map[string]any) {
	w.Helper()
	text := w.download(view)
	w.must(json.Unmarshal([]byte(text), &rows))
	return rows
}

func (w *world) download(path string) string {
	w.Helper()
	r, err := nethttp.NewRequestWithContext(w.Context(), "GET", w.base+"/"+path, nil)
	w.must(err)
	r.Header.Set("Authorization", "Bearer "+w.ann.secret)
	response, err := nethttp.DefaultClient.Do(r)
	w.must(err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	w.must(err)
	if response.StatusCode != 200 {
		w.Fatalf("%s: %s %s", path, response.Status, text)
	}
	return string(text)
}

func TestEngineTellsWhatHappens(t *testing.T) {
	w := newWorld(t)
	client := w.client(w.create("engine", false, nextYear).Token)
	for _, event := range []platform.TelemetryEvent{
		{InstanceID: "dc159j9ksduc9ov7k8lg", EventType: "engine_started", Payload: map[string]any{"pools": map[string]any{"number": 1}}},
		{InstanceID: "", EventType: "snapshot_created", Payload: struct{}{}},
		{InstanceID: "i", EventType: "clone_destroyed", Payload: nil},
	} {
		if got, err := client.SendTelemetryEvent(t.Context(), event); err != nil || got != (platform.APIResponse{}) {
			t.Errorf("%s: %+v, %v", event.EventType, got, err)
		}
	}
}

// sessionStart is what an engine sends when it begins to observe.
var sessionStart = platform.StartObservationRequest{
	InstanceID: "dc159j9ksduc9ov7k8lg", CloneID: "c1", StartedAt: "2026-11-22 12:00:00 UTC",
	Config: types.Config{ObservationInterval: 10, MaxLockDuration: 1, MaxDuration: 60}, Tags: map[string]string{"branch": "main"},
}

// A whole observed session, from its start to what people read of it.
func TestEngineObserves(t *testing.T) {
	w := newWorld(t)
	client := w.client(w.create("engine", false, nextYear).Token)
	started, err := client.StartObservationSession(t.Context(), sessionStart)
	w.must(err)
	session := strconv.FormatUint(started.SessionID, 10)
	log := []byte("log_time,message\n2026-11-22 12:00:01 UTC,hello\n" + strings.Repeat("2026-11-22 12:00:02 UTC,again\n", 10_000))
	w.must(client.UploadObservationLogs(t.Context(), log, session))
	artifact := []byte(`[{"calls":1,"text":"` + strings.Repeat("x", 5<<20) + `"}]`)
	w.must(client.UploadObservationArtifact(t.Context(), artifact, session, "pg_stat_statements"))
	stopped, err := client.StopObservationSession(t.Context(), platform.StopObservationRequest{
		SessionID: started.SessionID, FinishedAt: "2026-11-22 12:01:00 UTC",
		Result: models.ObservationResult{Status: "passed", Intervals: []models.Interval{{StartedAt: today, Duration: 10}}, Summary: models.Summary{TotalDuration: 60, TotalIntervals: 1}},
	})
	if err != nil || stopped != (platform.APIResponse{}) {
		t.Errorf("stopped: %+v, %v", stopped, err)
	}
	row := w.get("dblab_sessions?id=eq." + session)[0]
	if row["duration"] != 60.0 || row["status"] != "passed" || fmt.Sprint(row["tags"]) != "map[branch:main]" {
		t.Errorf("the session is %v", row)
	}
	if lines := w.get("dblab_session_logs?limit=3&order=id.asc&dblab_session_id=eq." + session); len(lines) != 3 || lines[0]["message"] != "hello" {
		t.Errorf("the log is %v", lines)
	}
	if got := w.download("rpc/dblab_session_logs_download?dblab_session_id=" + session); got != string(log) {
		t.Errorf("the log came back as %d bytes, not %d", len(got), len(log))
	}
	if got := w.download("rpc/dblab_session_artifacts_download?artifact_type=pg_stat_statements&dblab_session_id=" + session); !bytes.Equal([]byte(got), artifact) {
		t.Errorf("the artifact came back as %d bytes, not %d", len(got), len(artifact))
	}
}

// An interval more than fits into the log is kept beside it.
func TestEngineObservesForLong(t *testing.T) {
	w := newWorld(t)
	client := w.client(w.ann.secret)
	started, err := client.StartObservationSession(t.Context(), sessionStart)
	w.must(err)
	result := models.ObservationResult{Status: "passed", Intervals: make([]models.Interval, 1000)}
	_, err = client.StopObservationSession(t.Context(), platform.StopObservationRequest{SessionID: started.SessionID, FinishedAt: "2026-11-22 12:01:00 UTC", Result: result})
	w.must(err)
	row := w.get(fmt.Sprint("dblab_sessions?id=eq.", started.SessionID))[0]
	if intervals := row["result"].(map[string]any)["intervals"].([]any); len(intervals) != 1000 {
		t.Errorf("%d intervals came back", len(intervals))
	}
}

// What is refused is an error that the client can read, whatever it was doing.
func TestEngineReadsErrors(t *testing.T) {
	w := newWorld(t)
	good, foreign := w.client(w.ann.secret), w.client(w.zoe.secret)
	started, err := good.StartObservationSession(t.Context(), sessionStart)
	w.must(err)
	session := strconv.FormatUint(started.SessionID, 10)
	unknown := w.client("jtn_adm_nothing")
	for name, c := range map[string]struct {
		status int
		do     func() error
	}{
		"an event by nobody known": {401, func() error {
			_, err := unknown.SendTelemetryEvent(t.Context(), platform.TelemetryEvent{EventType: "x", Payload: struct{}{}})
			return err
		}},
		"an event without a type": {400, func() error {
			_, err := good.SendTelemetryEvent(t.Context(), platform.TelemetryEvent{Payload: struct{}{}})
			return err
		}},
		"an event that is no object": {200, func() error {
			_, err := good.SendTelemetryEvent(t.Context(), platform.TelemetryEvent{EventType: "x", Payload: "text"})
			return err
		}},
		"a start by nobody known": {401, func() error {
			_, err := unknown.StartObservationSession(t.Context(), sessionStart)
			return err
		}},
		"a start at no time": {400, func() error {
			_, err := good.StartObservationSession(t.Context(), platform.StartObservationRequest{StartedAt: "now"})
			return err
		}},
		"a stop of another's": {404, func() error {
			_, err := foreign.StopObservationSession(t.Context(), platform.StopObservationRequest{SessionID: started.SessionID, FinishedAt: "2026-11-22 12:01:00 UTC"})
			return err
		}},
		"a stop of nothing": {404, func() error {
			_, err := good.StopObservationSession(t.Context(), platform.StopObservationRequest{SessionID: 999_999, FinishedAt: "2026-11-22 12:01:00 UTC"})
			return err
		}},
		"a log of another's":  {404, func() error { return foreign.UploadObservationLogs(t.Context(), []byte("a\n"), session) }},
		"a log of no session": {400, func() error { return good.UploadObservationLogs(t.Context(), []byte("a\n"), "") }},
		"an artifact of another's": {404, func() error {
			return foreign.UploadObservationArtifact(t.Context(), []byte("{}"), session, "log_errors")
		}},
		"an artifact without type": {400, func() error { return good.UploadObservationArtifact(t.Context(), []byte("{}"), session, "") }},
		"a log that is too large":  {413, func() error { return good.UploadObservationLogs(t.Context(), make([]byte, mostContent+1), session) }},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.do()
			if c.status == 200 && err == nil {
				return
			}
			if err == nil || !strings.HasSuffix(err.Error(), fmt.Sprint("unsuccessful status given: ", c.status)) {
				t.Errorf("got %v, want a %d that the client can read", err, c.status)
			}
		})
	}
}

// An engine that is registered begins with its own token, and hears of those that its own
// door lets in.
func TestEngineWithARegisteredDoor(t *testing.T) {
	w := newWorld(t)
	token := domain.TokenID{ID: domain.RandomID()}
	secret, err := domain.NewSecret(domain.Administrative, token, rand.Reader)
	w.must(err)
	org, _ := w.model.Find("acme")
	meta := domain.Meta{Organization: org, Actor: w.ann.Actor}
	done, err := w.model.Execute(t.Context(), meta, domain.RegisterEngine{
		Name: "prod", Door: domain.Door{PersonalTokens: true}, EngineToken: domain.EngineToken{Token: token, Hash: secret.Hash(), Never: true},
	})
	w.must(err)
	check := w.engine(secret.Reveal())
	w.accepted(false)(check(secret.Reveal())) // as it begins
	w.accepted(true)(check(w.ann.secret))
	w.refused(check(w.create("other", false, nextYear).Token))
	w.refused(check(w.zoe.secret))
	_, err = w.model.Execute(t.Context(), meta, domain.UpdateEngine{Engine: done.Position, Door: &domain.Door{Open: false, PersonalTokens: false, Verification: secret.Hash()}})
	w.must(err)
	w.accepted(false)(check(secret.Reveal()))
	w.refused(check(w.ann.secret))
}
