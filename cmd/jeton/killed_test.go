package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

var rounds = flag.Int("rounds", 30, "how often TestKilled kills the server")

// A server that is killed at any instant has lost nothing it acknowledged: every
// token that was issued is there once, every one that was revoked stays revoked,
// and a command whose answer was lost happens once when it is sent again.
func TestKilled(t *testing.T) {
	if testing.Short() {
		*rounds = 3
	}
	w := killedWorld{t: t, dir: filepath.Join(t.TempDir(), "data"), known: map[string]*issued{}}
	w.build()
	w.found()
	for round := range *rounds {
		server := w.start()
		w.settle(round)
		w.verify(round)
		w.work(round, server)
	}
	server := w.start()
	w.settle(*rounds)
	w.verifyAll()
	w.stop(server)
	t.Logf("%d rounds: %d tokens issued, %d revoked, %d answers lost", *rounds, w.count(func(i *issued) bool { return i.acknowledged }),
		w.count(func(i *issued) bool { return i.revoked }), w.lost)
}

// issued is what the client knows of a token it asked for.
type issued struct {
	name, id, secret string
	round            int
	acknowledged     bool // the answer came
	revoking         bool // a revocation was sent
	revoked          bool // and its answer came
}

type killedWorld struct {
	t      *testing.T
	dir    string
	binary string
	url    string
	token  string

	mu    sync.Mutex
	known map[string]*issued // by name
	lost  int
}

func (w *killedWorld) build() {
	w.t.Helper()
	w.binary = filepath.Join(w.t.TempDir(), "jeton")
	if out, err := exec.Command("go", "build", "-o", w.binary, ".").CombinedOutput(); err != nil {
		w.t.Fatalf("build: %v\n%s", err, out)
	}
}

func (w *killedWorld) found() {
	w.t.Helper()
	out, err := exec.Command(w.binary, "init", "--data", w.dir, "--organization", "acme", "--name", "Acme", "--email", "root@acme.test", "-o", "json").Output()
	if err != nil {
		w.t.Fatalf("init: %v", err)
	}
	var founded struct{ Token string }
	if err := json.Unmarshal(out, &founded); err != nil {
		w.t.Fatalf("init printed %s: %v", out, err)
	}
	w.token = founded.Token
}

// start starts the server and waits until it is ready.
func (w *killedWorld) start() *exec.Cmd {
	w.t.Helper()
	server := exec.Command(w.binary, "serve", "--data", w.dir, "--listen", "127.0.0.1:0", "--log-format", "json")
	log, err := server.StderrPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = server.Process.Kill() })
	w.url = ""
	lines := bufio.NewScanner(log)
	var seen []string
	for w.url == "" && lines.Scan() {
		seen = append(seen, lines.Text())
		if _, rest, found := strings.Cut(lines.Text(), `"url":"`); found {
			w.url, _, _ = strings.Cut(rest, `"`)
		}
	}
	if w.url == "" {
		w.t.Fatalf("the server ended:\n%s", strings.Join(seen, "\n"))
	}
	go func() { _, _ = io.Copy(io.Discard, log) }() // until the process ends
	w.await()
	return server
}

func (w *killedWorld) await() {
	w.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); time.Since(began) < time.Minute; <-tick.C {
		if status, _, err := w.send("GET", "/readyz", nil, ""); err == nil && status == 200 {
			return
		}
	}
	w.t.Fatal("the server was not ready within a minute")
}

// work issues and revokes tokens with eight clients until the server is killed
// at a random instant.
func (w *killedWorld) work(round int, server *exec.Cmd) {
	ctx, cancel := context.WithCancel(context.Background())
	var clients sync.WaitGroup
	for client := range 8 {
		clients.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				w.issueAndRevoke(round, fmt.Sprintf("r%d c%d n%d", round, client, n))
			}
		})
	}
	<-time.After(time.Duration(20+rand.IntN(400)) * time.Millisecond)
	_ = server.Process.Kill() // SIGKILL
	cancel()
	clients.Wait()
	_ = server.Wait()
}

func (w *killedWorld) issueAndRevoke(round int, name string) {
	token := &issued{name: name, round: round}
	w.mu.Lock()
	w.known[name] = token
	w.mu.Unlock()
	if !w.issue(token) {
		return
	}
	if rand.IntN(2) == 0 {
		w.revoke(token)
	}
}

// issue asks for a token. The name is the idempotency key.
func (w *killedWorld) issue(token *issued) bool {
	status, body, err := w.send("POST", "/api/v1/organizations/acme/tokens",
		map[string]string{"name": token.name, "kind": "administrative"}, token.name)
	if err != nil {
		return false
	}
	if status != 201 {
		w.t.Errorf("issue %s: status %d: %s", token.name, status, body)
		return false
	}
	var answer struct{ ID, Secret string }
	if err := json.Unmarshal(body, &answer); err != nil {
		return false // it broke off
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	token.id, token.secret, token.acknowledged = answer.ID, answer.Secret, true
	return true
}

func (w *killedWorld) revoke(token *issued) {
	w.mu.Lock()
	token.revoking = true
	w.mu.Unlock()
	status, body, err := w.send("DELETE", "/api/v1/organizations/acme/tokens/"+token.id, nil, "")
	if err != nil {
		return
	}
	if status != 200 {
		w.t.Errorf("revoke %s: status %d: %s", token.name, status, body)
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	token.revoked = true
}

// settle sends again what had no answer in the round before: it must happen once.
func (w *killedWorld) settle(round int) {
	for _, token := range w.known {
		if token.round == round-1 && !token.acknowledged {
			w.lost++
			w.issue(token)
		}
	}
}

// verify checks what the round before was told.
func (w *killedWorld) verify(round int) {
	for _, token := range w.known {
		if token.round == round-1 {
			w.check(token)
		}
	}
}

func (w *killedWorld) check(token *issued) {
	if !token.acknowledged || token.secret == "" {
		return
	}
	_, body, err := w.send("POST", "/api/v1/check", map[string]string{"token": token.secret}, "")
	if err != nil {
		w.t.Fatalf("check %s: %v", token.name, err)
	}
	active := bytes.Contains(body, []byte(`"active":true`))
	switch {
	case token.revoked && active:
		w.t.Errorf("%s was revoked and is active", token.name)
	case !token.revoking && !active:
		w.t.Errorf("%s was issued and is not active: %s", token.name, body)
	}
}

// verifyAll checks every token of every round, and that each name stands once.
func (w *killedWorld) verifyAll() {
	for _, token := range w.known {
		w.check(token)
	}
	times := map[string]int{}
	for cursor := ""; ; {
		var page struct {
			Items []struct{ Name string }
			Next  string
		}
		_, body, err := w.send("GET", "/api/v1/organizations/acme/tokens?status=all&limit=100&kind=administrative"+cursor, nil, "")
		if err := errors.Join(err, json.Unmarshal(body, &page)); err != nil {
			w.t.Fatalf("list: %v\n%s", err, body)
		}
		for _, item := range page.Items {
			times[item.Name]++
		}
		if page.Next == "" {
			break
		}
		cursor = "&cursor=" + page.Next
	}
	for name, token := range w.known {
		if token.acknowledged && times[name] != 1 || times[name] > 1 {
			w.t.Errorf("%s stands %d times in the list", name, times[name])
		}
	}
}

func (w *killedWorld) stop(server *exec.Cmd) {
	_ = server.Process.Signal(os.Interrupt)
	if err := server.Wait(); err != nil {
		w.t.Errorf("the server did not stop cleanly: %v", err)
	}
}

func (w *killedWorld) count(which func(*issued) bool) (n int) {
	for _, token := range w.known {
		if which(token) {
			n++
		}
	}
	return n
}

// send answers status and body, or that no whole answer came.
func (w *killedWorld) send(method, path string, body any, key string) (int, []byte, error) {
	data, err := json.Marshal(body)
	if err != nil {
		return 0, nil, err
	}
	if body == nil {
		data = nil
	}
	request, err := http.NewRequest(method, w.url+path, bytes.NewReader(data))
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Authorization", "Bearer "+w.token)
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if key != "" {
		request.Header.Set("Idempotency-Key", key)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer answer.Body.Close()
	read, err := io.ReadAll(answer.Body)
	return answer.StatusCode, read, err
}
