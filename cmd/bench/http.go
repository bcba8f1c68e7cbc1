package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// http measures how soon the server is ready again with all tokens, and its
// checks against a handler that reads the same body and answers a static one.
func (b bench) http(ctx context.Context) (rows []row, err error) {
	bare, err := b.serve(ctx, os.Args[0], "-phase", "bare")
	if err != nil {
		return nil, err
	}
	defer bare.stop()
	ours, err := b.serve(ctx, b.Jeton, "serve", "--data", b.Dir, "--listen", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer ours.stop()
	rows = append(rows, row{"(f) restart to ready", fmt.Sprintf("%.1f s", ours.ready.Seconds()), "≤ 10 s", "from exec to /readyz: log read and checked whole, SQL caught up"})
	secrets, err := b.secrets()
	if err != nil {
		return nil, err
	}
	for _, load := range loads(secrets) {
		r, err := b.compare(ours.address, bare.address, load)
		if err != nil {
			return nil, err
		}
		rows = append(rows, r)
	}
	return rows, nil
}

// load is a kind of request, and many of that kind.
type load struct {
	name     string
	requests []string
}

// loads check random tokens of all organizations, each as the owner of the
// organization that the token belongs to.
func loads(secrets map[string][]string) []load {
	check := load{name: "(a) POST /api/v1/check over a bare handler"}
	dialect := load{name: "(a) rpc/dblab_token_check over a bare handler"}
	for range 100 {
		for _, of := range secrets {
			body := fmt.Sprintf(`{"token":"%s"}`, of[rand.IntN(len(of))])
			check.requests = append(check.requests, post("/api/v1/check", "Content-Type: application/json\r\nAuthorization: Bearer "+of[0], body))
			dialect.requests = append(dialect.requests, post("/api/general/rpc/dblab_token_check", "Access-Token: "+of[0], body))
		}
	}
	return []load{check, dialect}
}

func post(path, headers, body string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: bench\r\n%s\r\nContent-Length: %d\r\n\r\n%s", path, headers, len(body), body)
}

// compare lets both answer the same requests, in turn.
func (b bench) compare(ours, bare string, l load) (row, error) {
	var mine, theirs []float64
	for range b.Rounds {
		for _, side := range []struct {
			address string
			rates   *[]float64
		}{{bare, &theirs}, {ours, &mine}} {
			n, err := b.hammer(side.address, l)
			if err != nil {
				return row{}, fmt.Errorf("%s: %w", l.name, err)
			}
			*side.rates = append(*side.rates, n)
		}
	}
	return row{l.name, ratio(mine, theirs), "≥ 0.80", fmt.Sprintf("%s over %s; %d connections", spread(mine), spread(theirs), b.Connections)}, nil
}

// hammer is requests per second over all connections.
func (b bench) hammer(address string, l load) (float64, error) {
	end := time.Now().Add(time.Duration(b.Seconds * float64(time.Second)))
	counts := make([]int, b.Connections)
	errs := make([]error, b.Connections)
	var wait sync.WaitGroup
	began := time.Now()
	for i := range b.Connections {
		wait.Go(func() { counts[i], errs[i] = connection(address, l, i, end) })
	}
	wait.Wait()
	total := 0
	for _, n := range counts {
		total += n
	}
	return rate(total, time.Since(began)), errors.Join(errs...)
}

// connection sends requests one after the other. It speaks as much HTTP as it
// must, so that the processors are the server's.
func connection(address string, l load, offset int, end time.Time) (n int, err error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	answers := bufio.NewReaderSize(conn, 4096)
	for i := offset * 997; time.Now().Before(end); i++ {
		if _, err := io.WriteString(conn, l.requests[i%len(l.requests)]); err != nil {
			return n, err
		}
		if err := answered(answers); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

func answered(r *bufio.Reader) error {
	status, err := r.ReadSlice('\n')
	if err != nil {
		return err
	}
	if ok := string(status[9:12]); ok != "200" {
		return fmt.Errorf("answer %s", ok)
	}
	length := 0
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) == 2 {
			break
		}
		if value, found := strings.CutPrefix(string(line), "Content-Length: "); found {
			fmt.Sscanf(value, "%d", &length)
		}
	}
	_, err = r.Discard(length)
	return err
}

// serveBare is the bare program: it reads the body and answers a static one.
func serveBare() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, `{"level":"info","url":"http://%s","message":"serving"}`+"\n", listener.Addr())
	answer := []byte(`{"active":true,"kind":"personal","token":"0123456789abcdef","organization":"bench","organization_id":1,"subject":"user:1","email":"root@bench.test","role":"owner","expires_at":"2027-11-22T00:00:00Z"}` + "\n")
	return http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(answer)
	}))
}

// process is a server that was started.
type process struct {
	*exec.Cmd
	address string
	ready   time.Duration
}

// serve starts a server and waits until it is ready. It says in its log where it
// listens.
func (b bench) serve(ctx context.Context, name string, args ...string) (*process, error) {
	p := &process{Cmd: exec.CommandContext(ctx, name, args...)}
	log, err := p.StderrPipe()
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if err := p.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(log)
	for p.address == "" && lines.Scan() {
		if _, rest, found := strings.Cut(lines.Text(), `"url":"http://`); found {
			p.address, _, _ = strings.Cut(rest, `"`)
		}
	}
	go func() { _, _ = io.Copy(io.Discard, log) }() // until the process ends
	if err := p.awaitReady(began); err != nil {
		p.stop()
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return p, nil
}

func (p *process) awaitReady(began time.Time) error {
	if p.address == "" {
		return errors.New("it ended without saying where it listens")
	}
	for time.Since(began) < time.Minute {
		answer, err := http.Get("http://" + p.address + "/readyz")
		if err == nil {
			answer.Body.Close()
			if p.ready = time.Since(began); answer.StatusCode == http.StatusOK {
				return nil
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
	return errors.New("it was not ready within a minute")
}

func (p *process) stop() {
	_ = p.Process.Signal(syscall.SIGTERM) // it may have ended by itself
	_ = p.Wait()
}
