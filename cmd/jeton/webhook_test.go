package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/rogpeppe/go-internal/testscript"
)

// hookReceiver is where a story has events sent.
type hookReceiver struct {
	status atomic.Int64 // 0: it hangs
	mu     sync.Mutex
}

// receivesCommand: receives NAME. Starts a receiver of webhooks, sets NAME to its address,
// and writes each event that comes in to the file NAME, a line each.
func receivesCommand(ts *testscript.TestScript, _ bool, args []string) {
	r, file := new(hookReceiver), ts.MkAbs(args[0])
	r.status.Store(http.StatusNoContent)
	ts.Check(os.WriteFile(file, nil, 0o600))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, _ := io.ReadAll(request.Body)
		r.write(file, request.Header.Get("Webhook-Id")+" "+string(body)+"\n")
		if status := int(r.status.Load()); status != 0 {
			w.WriteHeader(status)
			return
		}
		<-request.Context().Done()
	}))
	ts.Defer(server.Close)
	ts.Value(runningKey{}).(*running).receivers.Store(args[0], r)
	ts.Setenv(args[0], server.URL)
}

func (r *hookReceiver) write(file, line string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return // the story is over
	}
	_, _ = f.WriteString(line)
	_ = f.Close()
}

// answersCommand: answers NAME STATUS. The receiver answers so from now on; 0: it hangs.
func answersCommand(ts *testscript.TestScript, _ bool, args []string) {
	status, err := strconv.Atoi(args[1])
	ts.Check(err)
	r, _ := ts.Value(runningKey{}).(*running).receivers.Load(args[0])
	r.(*hookReceiver).status.Store(int64(status))
}
