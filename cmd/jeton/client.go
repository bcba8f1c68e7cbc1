package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// remote are the flags of the commands that speak to a service.
type remote struct {
	program      *Program
	url          string
	tokenFile    string
	context      string
	organization string
	output       string
	timeout      time.Duration
}

// remoteCommand makes a command speak to a service, and those beneath it.
func (p *Program) remoteCommand(cmd *cobra.Command) (*cobra.Command, *remote) {
	r := &remote{program: p, output: "table", timeout: 30 * time.Second}
	flags := cmd.PersistentFlags()
	flags.StringVar(&r.url, "url", "", "address of the service, e.g. https://jeton.example.org [JETON_URL]")
	flags.StringVar(&r.tokenFile, "token-file", "", `file with the token to show; "-" is standard input [JETON_TOKEN_FILE, or the token itself in JETON_TOKEN]`)
	flags.StringVar(&r.context, "context", "", "take address and token from this context of the context file (default: the current one; see jeton context)")
	flags.VarP(choice(&r.output, "table", "json", "name"), "output", "o", "how to print: table for people, json for programs, name for scripts (ids; a new secret alone)")
	flags.Var(duration(&r.timeout), "timeout", "how long one command may take, e.g. 30s")
	if cmd.RunE == nil {
		helpful(cmd)
	}
	return cmd, r
}

// helpful makes a command that only has others beneath it show them, and refuse
// one that is not there.
func helpful(cmd *cobra.Command) {
	cmd.Args = cobra.NoArgs
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
}

// organizationFlag is for commands within an organization.
func (r *remote) organizationFlag(cmd *cobra.Command) {
	cmd.PersistentFlags().StringVarP(&r.organization, "organization", "O", "", "alias or number of the organization (default: the one that the token is bound to)")
}

// client speaks to a service with one token.
type client struct {
	URL   string // without a slash at its end
	Token string
	HTTP  *http.Client
	// Retries is how often a request is sent again that found the service away.
	Retries int
	// Stderr is where warnings go.
	Stderr io.Writer

	warned   bool
	replayed bool // the last answer was about something that an earlier try had made
}

// ask runs do with a client, for as long as --timeout allows.
func (r *remote) ask(ctx context.Context, do func(context.Context, *client) error) error {
	c, err := r.client()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	return do(ctx, c)
}

func (r *remote) client() (*client, error) {
	where, err := r.settle()
	if err != nil {
		return nil, err
	}
	return r.clientOf(where), nil
}

func (r *remote) clientOf(where server) *client {
	return &client{
		URL: where.URL, Token: where.Token, Retries: 3, Stderr: r.program.Stderr,
		HTTP: &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}
}

// within runs do with a client and the path of the organization.
func (r *remote) within(ctx context.Context, do func(context.Context, *client, string) error) error {
	return r.ask(ctx, func(ctx context.Context, c *client) error {
		org, err := r.organizationOf(ctx, c)
		if err != nil {
			return err
		}
		return do(ctx, c, "organizations/"+url.PathEscape(org))
	})
}

func (r *remote) organizationOf(ctx context.Context, c *client) (string, error) {
	if r.organization != "" {
		return r.organization, nil
	}
	var self whoami
	err := c.do(ctx, "GET", "whoami", nil, &self)
	return self.Organization.Alias, err
}

const (
	firstRetry  = 200 * time.Millisecond
	answerLimit = 32 << 20 // bytes
)

// do sends a request beneath /api/v1 and decodes its answer into out, if that is
// not nil. What makes something is sent with a key of its own, so that it can be
// sent again when the answer is lost, and still happens once.
func (c *client) do(ctx context.Context, method, path string, in, out any) error {
	return c.doSeen(ctx, method, path, 0, in, out)
}

// doSeen is do for a change of what was read before: it is refused if the thing has
// another version by now. Version 0: whatever it is.
func (c *client) doSeen(ctx context.Context, method, path string, version uint64, in, out any) error {
	body, err := encodeBody(in)
	if err != nil {
		return err
	}
	q := question{method, path, rand.Text(), version, body}
	for try, wait := 0, firstRetry; ; try, wait = try+1, 2*wait {
		err := c.once(ctx, q, out)
		if !again(err) || try == c.Retries {
			return err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return err
		}
	}
}

func encodeBody(in any) ([]byte, error) {
	if in == nil {
		return nil, nil
	}
	return json.Marshal(in)
}

// again reports whether the service may answer otherwise in a moment.
func again(err error) bool {
	var c coded
	return errors.As(err, &c) && c.code == exitUnavailable && !errors.As(err, new(tooOften))
}

// tooOften is a refusal that a second try would only make worse.
type tooOften struct{ error }

// question is a request as it is sent each time.
type question struct {
	method, path string
	key          string // the same for all tries
	version      uint64 // of what is to be changed, if that matters
	body         []byte
}

// request is a question as it is sent.
func (c *client) request(ctx context.Context, q question) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, q.method, c.URL+"/api/v1/"+q.path, bytes.NewReader(q.body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("User-Agent", "jeton/"+programVersion())
	if c.Token != "" {
		request.Header.Set("Authorization", "Bearer "+c.Token)
	}
	q.describe(request.Header)
	return request, nil
}

func (c *client) once(ctx context.Context, q question, out any) error {
	request, err := c.request(ctx, q)
	if err != nil {
		return err
	}
	response, err := c.HTTP.Do(request)
	if err != nil {
		return c.unreachable(err)
	}
	defer response.Body.Close()
	c.warn(response.Header.Get("Jeton-Warning"))
	c.replayed = response.Header.Get("Idempotency-Replayed") == "true"
	return c.read(response, out)
}

func (q question) describe(h http.Header) {
	if q.body != nil {
		h.Set("Content-Type", "application/json")
	}
	if q.method == "POST" {
		h.Set("Idempotency-Key", q.key)
	}
	if q.version != 0 {
		h.Set("If-Match", strconv.Quote(strconv.FormatUint(q.version, 10)))
	}
}

// warn repeats what the service says about the token that it was shown. It says so
// in every answer; a command says it once.
func (c *client) warn(text string) {
	if text != "" && !c.warned {
		c.warned = true
		fmt.Fprintln(c.Stderr, "warning:", text)
	}
}

func (c *client) read(response *http.Response, out any) error {
	data, err := io.ReadAll(io.LimitReader(response.Body, answerLimit))
	if err != nil {
		return c.unreachable(err)
	}
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return problemOf(response, data)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(data, out); err != nil {
		return fmt.Errorf("%s does not answer like this service: %w", c.URL, err)
	}
	return nil
}

func (c *client) unreachable(err error) error {
	var inner *url.Error
	if errors.As(err, &inner) {
		err = inner.Err // without the path
	}
	return coded{fmt.Errorf("%s can't be reached: %w\n  next: check the address, and whether the service runs", c.URL, err), exitUnavailable}
}

// problem is an error as the service writes it.
type problem struct {
	Status    int    `json:"status"`
	Detail    string `json:"detail"`
	Next      string `json:"next"`
	RequestID string `json:"request_id"`
	Errors    []struct {
		Field  string `json:"field"`
		Detail string `json:"detail"`
	} `json:"errors"`
}

// problemOf makes an error of an answer: what is wrong, the next step, and what
// to tell the operator.
func problemOf(response *http.Response, data []byte) error {
	var p problem
	if err := json.Unmarshal(data, &p); err != nil || p.Detail == "" {
		p = problem{Detail: "the answer was " + response.Status, Next: "check the address: something else seems to answer there"}
	}
	var b strings.Builder
	b.WriteString(p.Detail)
	for _, e := range p.Errors {
		if !strings.Contains(p.Detail, e.Detail) {
			fmt.Fprintf(&b, "\n  %s: %s", e.Field, e.Detail)
		}
	}
	if p.Next != "" {
		b.WriteString("\n  next: " + p.Next)
	}
	if id := first(p.RequestID, response.Header.Get("X-Request-Id")); id != "" {
		b.WriteString("\n  request: " + id)
	}
	if response.StatusCode == http.StatusTooManyRequests {
		return coded{tooOften{errors.New(b.String() + waitOf(response))}, exitUnavailable}
	}
	return coded{errors.New(b.String()), exitOf(response.StatusCode)}
}

// waitOf says how long the service wants us to wait.
func waitOf(response *http.Response) string {
	if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil {
		return fmt.Sprintf("\n  wait: %d s", seconds)
	}
	return ""
}

func first(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

// exitOf is the exit code for a status.
func exitOf(status int) int {
	switch status {
	case 400, 413, 415, 422:
		return exitUsage
	case 401, 403:
		return exitDenied
	case 404:
		return exitNotFound
	case 409, 412:
		return exitConflict
	case 429, 502, 503, 504:
		return exitUnavailable
	}
	return exitError
}

// page is a part of a list.
type page struct {
	Items []json.RawMessage `json:"items"`
	Next  string            `json:"next"`
}

const pageSize = 100

// list reads the pages of a list, up to limit things; 0: all.
func (c *client) list(ctx context.Context, path string, query url.Values, limit int) (all []json.RawMessage, err error) {
	all = []json.RawMessage{}
	if query == nil {
		query = url.Values{}
	}
	query.Set("limit", strconv.Itoa(pageSize))
	for {
		var p page
		if err := c.do(ctx, "GET", path+"?"+query.Encode(), nil, &p); err != nil {
			return nil, err
		}
		all = append(all, p.Items...)
		if limit > 0 && len(all) >= limit {
			return all[:limit], nil
		}
		if p.Next == "" {
			return all, nil
		}
		query.Set("cursor", p.Next)
	}
}

// all reads a list that comes whole: there are few of such things.
func (c *client) all(ctx context.Context, path string) ([]json.RawMessage, error) {
	all := page{Items: []json.RawMessage{}}
	err := c.do(ctx, "GET", path, nil, &all)
	return all.Items, err
}

// limitFlag is for lists.
func limitFlag(cmd *cobra.Command, at *int) {
	cmd.Flags().IntVar(at, "limit", 0, "how many at most; 0: all")
}

// reasonFlag is for what the log, and those concerned, should know the reason of.
func reasonFlag(cmd *cobra.Command, at *string) {
	cmd.Flags().StringVar(at, "reason", "", "why, for the log")
}

// withReason adds ?reason= to a path.
func withReason(path, reason string) string {
	if reason == "" {
		return path
	}
	return path + "?" + url.Values{"reason": {reason}}.Encode()
}

// lost says that something was made and its secret was in an answer that never came.
func lost(what, next string) error {
	return fmt.Errorf("%s was made, but the answer with its secret was lost on the way\n  next: %s", what, next)
}
