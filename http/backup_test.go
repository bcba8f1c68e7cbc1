package http

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"jeton/eventstore"
)

const backups = "GET /api/v1/backup"

// takeBackup reads a backup that was answered.
func takeBackup(w *world, body string) (last eventstore.Head, end eventstore.BackupEnd) {
	w.Helper()
	_, end, err := eventstore.ReadBackup(strings.NewReader(body), eventstore.BackupTaker{
		Record: func(r eventstore.Record) error { last = r.Head(); return nil },
	})
	w.must(err)
	return last, end
}

func TestBackup(t *testing.T) {
	w := furnish(newWorld(t))
	w.server.Keys = new(eventstore.MemoryKeys)
	w.must(w.server.Keys.Put(t.Context(), "person", []byte("wrapped")))
	w.server.Roots = func(context.Context, eventstore.Head) (map[string]eventstore.Root, error) {
		return map[string]eventstore.Root{"acme": {Size: 1}}, nil
	}
	_, err := w.server.Objects.Put(t.Context(), "acme/one", strings.NewReader("content"), 100)
	w.must(err)
	got := w.send("ann", backups, "")
	last, end := takeBackup(w, got.body)
	if got.status != 200 || last.Position != w.last() || end.Keys != 1 || end.Objects != 2 || end.Roots["acme"].Size != 1 {
		t.Errorf("status %d, up to %d of %d, %+v", got.status, last.Position, w.last(), end)
	}
	if etag := got.header.Get("ETag"); etag != "" {
		t.Errorf("a backup has the ETag %s", etag)
	}
	if _, end := takeBackup(w, w.send("ann", backups+"?objects=false", "").body); end.Objects != 0 {
		t.Errorf("without objects it has %d", end.Objects)
	}
	w.refused("ann", backups+"?objects=some", "", []int{422})
	w.refused("bob", backups, "", []int{403})
	w.refused("", backups, "", []int{401})
}

// sql changes the database of the views behind their back.
func (w *world) sql(statement string) {
	w.Helper()
	db, err := sql.Open("sqlite", w.database)
	w.must(err)
	_, err = db.Exec(statement)
	w.must(errors.Join(err, db.Close()))
}

// A second copy that is not what was written makes no backup.
func TestBackupOfADamagedCopy(t *testing.T) {
	for name, harm := range map[string]string{
		"changed": `UPDATE commits SET data = ' ' || data WHERE position = 3`,
		"dropped": `DELETE FROM commits WHERE position = 3`,
		"swapped": `UPDATE commits SET data = (SELECT data FROM commits WHERE position = 4) WHERE position = 3`,
		"renamed": `UPDATE commits SET id = '0123456789abcdef0123456789abcdef' WHERE position = 3`,
		"moved":   `UPDATE commits SET boundary = 'elsewhere' WHERE position = 3`,
	} {
		w := newWorld(t)
		w.sql(harm)
		got := w.refused("ann", backups, "", []int{500})
		if problem := got.object(w); problem["code"] != "copy-damaged" || !strings.Contains(problem["detail"].(string), "position 3") {
			t.Errorf("%s: %s", name, got.body)
		}
	}
}

// heldBack is objects that nobody can read until they are let go.
type heldBack struct {
	eventstore.Objects
	reached, free chan struct{}
}

func (s heldBack) List(ctx context.Context, _ func(eventstore.Object) error) error {
	close(s.reached)
	<-s.free
	return errors.New("objects that break")
}

// While a backup is made there is no second one; one that fails on its way breaks off.
func TestBackupOneAtATime(t *testing.T) {
	w := newWorld(t)
	s := heldBack{w.server.Objects, make(chan struct{}), make(chan struct{})}
	w.server.Objects = s
	first := w.request("ann", backups, "")
	ended := make(chan *httptest.ResponseRecorder, 1)
	go func() {
		recorder := httptest.NewRecorder()
		w.handler.ServeHTTP(recorder, first)
		ended <- recorder
	}()
	<-s.reached
	w.refused("ann", backups, "", []int{503})
	close(s.free)
	if got := <-ended; got.Code != 500 || strings.Contains(got.Body.String(), "objects that break") {
		t.Errorf("status %d: %s", got.Code, got.Body)
	}
	w.server.Objects = s.Objects
	takeBackup(w, w.send("ann", backups, "").body)
}

// What is cut off on the wire is no backup.
func TestBackupCutOff(t *testing.T) {
	w := newWorld(t)
	body := w.send("ann", backups, "").body
	for _, length := range []int{0, 10, len(body) / 2, len(body) - 1} {
		if _, _, err := eventstore.ReadBackup(bytes.NewReader([]byte(body[:length])), eventstore.BackupTaker{}); err == nil {
			t.Errorf("%d of %d bytes are a backup", length, len(body))
		}
	}
}

// A backup that fails when some of it has left ends without its end.
func TestBackupBreaksOff(t *testing.T) {
	w := newWorld(t)
	large := make([]byte, 1<<20)
	_, _ = rand.NewChaCha8([32]byte{}).Read(large) // which nothing makes smaller
	_, err := w.server.Objects.Put(t.Context(), "acme/one", bytes.NewReader(large), 1<<21)
	w.must(err)
	w.server.Objects = breaking{w.server.Objects}
	server := httptest.NewServer(w.handler)
	defer server.Close()
	request, err := http.NewRequest("GET", server.URL+"/api/v1/backup", nil)
	w.must(err)
	request.Header.Set("Authorization", "Bearer "+w.names["ann.secret"])
	answer, err := server.Client().Do(request)
	if err != nil {
		return // so early that there was no answer at all
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if _, _, bad := eventstore.ReadBackup(bytes.NewReader(body), eventstore.BackupTaker{}); err == nil || bad == nil || json.Valid(body) {
		t.Errorf("it ended with %v, as %v", err, bad)
	}
}

// breaking is objects whose content fails at its end.
type breaking struct{ eventstore.Objects }

func (b breaking) Get(ctx context.Context, name string) (eventstore.Object, io.ReadCloser, error) {
	o, content, err := b.Objects.Get(ctx, name)
	if err != nil {
		return o, content, err
	}
	return o, io.NopCloser(io.MultiReader(content, neverWhole{errors.New("the disk is gone")})), nil
}

type neverWhole struct{ error }

func (f neverWhole) Read([]byte) (int, error) { return 0, f.error }
