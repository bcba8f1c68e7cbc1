package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rogpeppe/go-internal/testscript"

	"jeton/projections/pgtest"
)

// The stories in testdata/script run this program itself, as processes of their
// own. The first line of each says which promise it keeps.

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"jeton": main})
}

func TestStories(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "script"),
		Setup: func(e *testscript.Env) error {
			e.Values[runningKey{}] = &running{}
			e.Setenv("GORACE", "atexit_sleep_ms=0") // else each process sleeps a second before it ends
			e.Setenv("XDG_CONFIG_HOME", filepath.Join(e.WorkDir, "config"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"serve":      serveCommand,
			"gate":       gateStoryCommand,
			"behind":     behindCommand,
			"receives":   receivesCommand,
			"answers":    answersCommand,
			"asks":       asksCommand,
			"refuses":    refusesCommand,
			"signal":     signalCommand,
			"readfile":   readfileCommand,
			"secret":     secretCommand,
			"hidden":     hiddenCommand,
			"cut":        cutCommand,
			"flip":       flipCommand,
			"status":     statusCommand,
			"eventually": eventuallyCommand,
			"exits":      exitsCommand,
			"until":      untilCommand,
			"nats":       natsCommand,
			"spoil":      func(ts *testscript.TestScript, _ bool, _ []string) { spoilStream(ts) },
			"takeaway": func(ts *testscript.TestScript, _ bool, _ []string) {
				ts.Check(logOn(ts).DeleteStream(context.Background(), "JETON_0"))
			},
			"postgres": func(ts *testscript.TestScript, _ bool, args []string) { ts.Setenv("DATABASE", pgtest.URL(t)) },
		},
	})
}

// Every story says its promise.
func TestStoriesBeginWithTheirPromise(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "script", "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if first, _, _ := strings.Cut(string(text), "\n"); !regexp.MustCompile(`^# [A-Z].+\.$`).MatchString(first) {
			t.Errorf("%s begins with %q, not with a promise", file, first)
		}
	}
}

// running are the servers of one story by name.
type running struct{ servers, receivers sync.Map }

type runningKey struct{}

// service is a server that runs as a process.
type service struct {
	cmd    *exec.Cmd
	out    bytes.Buffer
	url    chan string
	exited chan struct{}
	err    error
}

// serveCommand: serve NAME [flags of jeton serve]. Starts the service on a free
// port, waits until it is ready, and sets JETON_URL. What it writes goes to
// NAME.out and NAME.err.
func serveCommand(ts *testscript.TestScript, neg bool, args []string) {
	url := start(ts, args[0], "serve", args[1:]).serving(ts, args[0])
	ts.Setenv("JETON_URL", url)
	waitFor(ts, "ready", func() bool { return statusOf(url+"/readyz") == http.StatusOK })
}

// gateStoryCommand: gate NAME [flags of jeton gate]. Starts a gate on a free port,
// waits until it has its copy, and sets GATE to its address.
func gateStoryCommand(ts *testscript.TestScript, neg bool, args []string) {
	url := start(ts, args[0], "gate", args[1:]).serving(ts, args[0])
	ts.Setenv("GATE", url)
	waitFor(ts, "a copy", func() bool { return statusOf(url+"/status") != http.StatusServiceUnavailable })
}

// serving is the address at which a process serves.
func (s *service) serving(ts *testscript.TestScript, name string) string {
	select {
	case url := <-s.url:
		return url
	case <-s.exited:
		ts.Fatalf("%s ended: %v\n%s", name, s.err, ts.ReadFile(name+".err"))
	case <-time.After(20 * time.Second):
		ts.Fatalf("%s does not serve\n%s", name, ts.ReadFile(name+".err"))
	}
	return ""
}

// behindCommand: behind TOKENFILE. Starts an engine that takes the verification token
// in a file, says who has come in, and sets BEHIND to its address.
func behindCommand(ts *testscript.TestScript, neg bool, args []string) {
	token := strings.TrimSpace(ts.ReadFile(args[0]))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Verification-Token") != token {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = io.WriteString(w, r.Header.Get("X-Forwarded-User-Email")+" came by "+r.Header.Get("Jeton-Via")+" as "+r.Header.Get("Jeton-Subject")+"\n")
	}))
	ts.Defer(server.Close)
	ts.Setenv("BEHIND", server.URL)
}

// asksCommand: asks CODE URL [TOKENFILE]. Waits until a GET with the token is answered
// so, and writes the answer to the file answer.
func asksCommand(ts *testscript.TestScript, neg bool, args []string) {
	waitFor(ts, args[0]+" of "+args[1], func() bool {
		request, err := http.NewRequest("GET", args[1], nil)
		ts.Check(err)
		if len(args) > 2 {
			request.Header.Set("Verification-Token", strings.TrimSpace(ts.ReadFile(args[2])))
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return false
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		ts.Check(err)
		ts.Check(os.WriteFile(ts.MkAbs("answer"), body, 0o600))
		return strconv.Itoa(response.StatusCode) == args[0]
	})
}

// refusesCommand: refuses NAME CODE [flags]. The service must end by itself.
func refusesCommand(ts *testscript.TestScript, neg bool, args []string) {
	s := start(ts, args[0], "serve", args[2:])
	select {
	case <-s.exited:
	case <-time.After(20 * time.Second):
		ts.Fatalf("%s has not ended", args[0])
	}
	if got := strconv.Itoa(s.cmd.ProcessState.ExitCode()); got != args[1] {
		ts.Fatalf("%s ended with %s, not %s\n%s", args[0], got, args[1], ts.ReadFile(args[0]+".err"))
	}
}

func start(ts *testscript.TestScript, name, command string, flags []string) *service {
	path, err := exec.LookPath("jeton") // testscript has put it into our own PATH
	ts.Check(err)
	s := &service{url: make(chan string, 1), exited: make(chan struct{})}
	s.cmd = exec.Command(path, append([]string{command, "--listen", "127.0.0.1:0", "--log-format", "json"}, flags...)...)
	s.cmd.Dir = ts.MkAbs(".")
	for _, variable := range []string{"PATH", "HOME", "XDG_CONFIG_HOME", "TMPDIR", "GORACE", "JETON_DATABASE", "JETON_NATS", "JETON_DATABASE_FILE", "JETON_NATS_FILE", "JETON_MASTER_KEY_FILE", "JETON_LOG_LEVEL", "PGAI_PLATFORM_ACCESS_TOKEN", "DBLAB_VERIFICATION_TOKEN"} {
		if value := ts.Getenv(variable); value != "" {
			s.cmd.Env = append(s.cmd.Env, variable+"="+value)
		}
	}
	out, err := os.Create(ts.MkAbs(name + ".out"))
	ts.Check(err)
	log, err := os.Create(ts.MkAbs(name + ".err"))
	ts.Check(err)
	s.cmd.Stdout, s.cmd.Stderr = out, &addressFinder{to: log, found: s.url}
	ts.Check(s.cmd.Start())
	go func() { s.err = s.cmd.Wait(); _ = out.Close(); _ = log.Close(); close(s.exited) }()
	ts.Defer(func() { _ = s.cmd.Process.Kill(); <-s.exited })
	ts.Value(runningKey{}).(*running).servers.Store(name, s)
	return s
}

// addressFinder finds the line of the log that says where the service listens.
type addressFinder struct {
	to    io.Writer
	line  bytes.Buffer
	found chan string
}

func (f *addressFinder) Write(data []byte) (int, error) {
	f.line.Write(data)
	for {
		line, rest, whole := bytes.Cut(f.line.Bytes(), []byte("\n"))
		if !whole {
			break
		}
		var said struct{ Message, URL string }
		if json.Unmarshal(line, &said) == nil && said.Message == "serving" {
			f.found <- said.URL
		}
		f.line = *bytes.NewBuffer(bytes.Clone(rest))
	}
	return f.to.Write(data)
}

func find(ts *testscript.TestScript, name string) *service {
	s, known := ts.Value(runningKey{}).(*running).servers.Load(name)
	if !known {
		ts.Fatalf("no service %s", name)
	}
	return s.(*service)
}

// signalCommand: signal NAME term|kill. Waits until the service has ended; after
// term with 0.
func signalCommand(ts *testscript.TestScript, neg bool, args []string) {
	s := find(ts, args[0])
	ts.Check(s.cmd.Process.Signal(map[string]os.Signal{"term": syscall.SIGTERM, "int": os.Interrupt, "kill": os.Kill}[args[1]]))
	select {
	case <-s.exited:
	case <-time.After(20 * time.Second):
		ts.Fatalf("%s has not ended", args[0])
	}
	if code := s.cmd.ProcessState.ExitCode(); args[1] != "kill" && code != 0 {
		ts.Fatalf("%s ended with %d\n%s", args[0], code, ts.ReadFile(args[0]+".err"))
	}
}

// readfileCommand: readfile VARIABLE FILE. Sets a variable to what is in a file.
func readfileCommand(ts *testscript.TestScript, neg bool, args []string) {
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile(args[1])))
}

var secretText = regexp.MustCompile(`jtn_[a-z]+_[0-9A-Za-z]{58}`)

// secretCommand: secret FILE FROM. Writes the only secret of a text into a file.
func secretCommand(ts *testscript.TestScript, neg bool, args []string) {
	found := secretText.FindAllString(ts.ReadFile(args[1]), -1)
	if len(found) == 0 {
		ts.Fatalf("there is no secret in %s", args[1])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(found[0]+"\n"), 0o600))
}

// hiddenCommand: hidden FILE… No file may hold anything that looks like a secret.
func hiddenCommand(ts *testscript.TestScript, neg bool, args []string) {
	for _, file := range args {
		if found := secretText.FindString(ts.ReadFile(file)); found != "" {
			ts.Fatalf("%s holds a secret: %.24s…", file, found)
		}
	}
}

// only is the only file that a pattern fits.
func only(ts *testscript.TestScript, pattern string) string {
	files, err := filepath.Glob(ts.MkAbs(pattern))
	ts.Check(err)
	if len(files) != 1 {
		ts.Fatalf("%s fits %d files", pattern, len(files))
	}
	return files[0]
}

// cutCommand: cut PATTERN BYTES. Takes bytes off the end of a file.
func cutCommand(ts *testscript.TestScript, neg bool, args []string) {
	file := only(ts, args[0])
	bytes, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	stat, err := os.Stat(file)
	ts.Check(err)
	ts.Check(os.Truncate(file, stat.Size()-bytes))
}

// flipCommand: flip PATTERN TEXT. Flips a bit of the first byte of a text in a file.
func flipCommand(ts *testscript.TestScript, neg bool, args []string) {
	file := only(ts, args[0])
	data, err := os.ReadFile(file)
	ts.Check(err)
	at := bytes.Index(data, []byte(args[1]))
	if at < 0 {
		ts.Fatalf("%s has no %q", file, args[1])
	}
	data[at] ^= 1
	ts.Check(os.WriteFile(file, data, 0o600))
}

// statusCommand: status CODE PATH. What the service answers to a GET.
func statusCommand(ts *testscript.TestScript, neg bool, args []string) {
	if got := statusOf(ts.Getenv("JETON_URL") + args[1]); strconv.Itoa(got) != args[0] {
		ts.Fatalf("GET %s is answered with %d, not %s", args[1], got, args[0])
	}
}

// eventuallyCommand: eventually CODE PATH. Waits until the service answers so.
func eventuallyCommand(ts *testscript.TestScript, neg bool, args []string) {
	waitFor(ts, args[0]+" of "+args[1], func() bool { return strconv.Itoa(statusOf(ts.Getenv("JETON_URL")+args[1])) == args[0] })
}

func statusOf(url string) int {
	response, err := http.Get(url)
	if err != nil {
		return 0
	}
	_ = response.Body.Close()
	return response.StatusCode
}

func waitFor(ts *testscript.TestScript, what string, ok func() bool) {
	for end := time.Now().Add(20 * time.Second); !ok(); <-time.After(10 * time.Millisecond) {
		if time.Now().After(end) {
			ts.Fatalf("waited in vain for %s", what)
		}
	}
}

// exitsCommand: exits CODE jeton ARGUMENTS… The exit code is exactly that.
func exitsCommand(ts *testscript.TestScript, neg bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	if exit := (*exec.ExitError)(nil); err != nil {
		var ok bool
		if exit, ok = err.(*exec.ExitError); !ok {
			ts.Fatalf("%v", err)
		}
		code = exit.ExitCode()
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("%s ended with %d, not %s", strings.Join(args[1:], " "), code, args[0])
	}
}

// untilCommand: until PATTERN jeton ARGUMENTS… Waits until it prints something that
// the pattern fits.
func untilCommand(ts *testscript.TestScript, neg bool, args []string) {
	wanted := regexp.MustCompile("(?m)" + args[0])
	waitFor(ts, args[0], func() bool {
		return ts.Exec(args[1], args[2:]...) == nil && wanted.MatchString(ts.ReadFile("stdout"))
	})
}

// natsCommand starts a NATS server with JetStream and sets NATS to its URL. Its
// client needs a password.
func natsCommand(ts *testscript.TestScript, neg bool, args []string) {
	server, err := natsserver.NewServer(&natsserver.Options{
		Host: "127.0.0.1", Port: natsserver.RANDOM_PORT, NoSigs: true, NoLog: true, JetStream: true,
		StoreDir: ts.MkAbs("elsewhere"), SyncAlways: true, JetStreamMaxStore: 4 << 30, JetStreamMaxMemory: 64 << 20,
		Username: "jeton", Password: "pass-of-nats",
	})
	ts.Check(err)
	server.Start()
	ts.Defer(func() { server.Shutdown(); server.WaitForShutdown() })
	waitFor(ts, "NATS", func() bool { return server.ReadyForConnections(time.Second) })
	ts.Setenv("NATS", strings.Replace(server.ClientURL(), "nats://", "nats://jeton:pass-of-nats@", 1))
}

// logOn is JetStream on the server of the story.
func logOn(ts *testscript.TestScript) jetstream.JetStream {
	conn, err := nats.Connect(ts.Getenv("NATS"))
	ts.Check(err)
	ts.Defer(conn.Close)
	js, err := jetstream.New(conn)
	ts.Check(err)
	return js
}

// spoilStream takes the log's first commits away, as a limit that somebody set would.
func spoilStream(ts *testscript.TestScript) {
	ctx, js := context.Background(), logOn(ts)
	stream, err := js.Stream(ctx, "JETON_0")
	ts.Check(err)
	config := stream.CachedInfo().Config
	config.MaxMsgs, config.Discard = 2, jetstream.DiscardOld
	_, err = js.UpdateStream(ctx, config)
	ts.Check(err)
}
