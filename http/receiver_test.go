package http

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"jeton/domain"
	"jeton/projections"
)

// receiver is where a webhook sends: a server of its own, which may fail, hang and lie.
type receiver struct {
	testing.TB
	*httptest.Server
	letters chan hookLetter
	does    atomic.Pointer[http.HandlerFunc]
}

// hookLetter is what came in, before it was answered.
type hookLetter struct {
	header http.Header
	body   []byte
}

func (l hookLetter) id() string { return l.header.Get("Webhook-Id") }

// event is the letter as a CloudEvent of an entry of the audit log.
func (l hookLetter) event(t testing.TB) (e CloudEvent[AuditEntry]) {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(l.body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&e); err != nil {
		t.Fatalf("no CloudEvent: %v: %s", err, l.body)
	}
	return e
}

// name is that of the token that the letter says was issued.
func (l hookLetter) name(t testing.TB) string {
	t.Helper()
	return text(l.event(t).Data.After["name"])
}

func newReceiver(t testing.TB) *receiver {
	r := &receiver{TB: t, letters: make(chan hookLetter, 1000)}
	r.answers(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, _ := io.ReadAll(request.Body)
		r.letters <- hookLetter{request.Header, body}
		(*r.does.Load())(w, request)
	}))
	t.Cleanup(r.Close)
	return r
}

// answers says how the next letters are answered.
func (r *receiver) answers(do http.HandlerFunc) { r.does.Store(&do) }

func answering(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
}

// next is the next letter.
func (r *receiver) next() hookLetter {
	r.Helper()
	select {
	case l := <-r.letters:
		return l
	case <-time.After(20 * time.Second):
		r.Fatal("no letter has come")
		return hookLetter{}
	}
}

// names wants so many letters to come, about tokens of these names.
func (r *receiver) names(want ...string) (ids []string) {
	r.Helper()
	var got []string
	for range want {
		l := r.next()
		got, ids = append(got, l.name(r)), append(ids, l.id())
	}
	if !slices.Equal(got, want) {
		r.Fatalf("letters are about %v, want %v", got, want)
	}
	return ids
}

// nothing wants that no letter has come that was not looked at.
func (r *receiver) nothing() {
	r.Helper()
	select {
	case l := <-r.letters:
		r.Errorf("a letter too many: %s", l.body)
	default:
	}
}

// verified reports whether a letter is signed with a secret, as Standard Webhooks tells
// receivers to look.
func verified(l hookLetter, secret string) bool {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil || len(key) != 32 {
		return false
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(l.header.Get("webhook-id") + "." + l.header.Get("webhook-timestamp") + "." + string(l.body)))
	want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	return slices.Contains(strings.Split(l.header.Get("webhook-signature"), " "), want)
}

// delivers sends to webhooks until the test ends or stop is called.
func (w *world) delivers(views ...*projections.Views) (stop func()) {
	w.Helper()
	server := &Server{
		Model: w.model, Views: w.views, Log: w.server.Log, Version: "test", Metrics: prometheus.NewRegistry(), Now: w.now,
		Vault: w.vault, Outgoing: &Outgoing{Networks: w.server.Outgoing.Networks, Timeout: w.server.Outgoing.Timeout},
	}
	node := "here"
	if len(views) > 0 {
		server.Views, node = views[0], fmt.Sprintf("%p", views[0])
	}
	w.metrics = server.Metrics
	d := &Deliveries{Server: server, Node: node, Poll: time.Millisecond, Random: func() float64 { return 0.5 }}
	return w.background(func(ctx context.Context) error { return d.Run(ctx) })
}

// until waits for a condition.
func (w *world) until(what string, is func() bool) {
	w.Helper()
	deadline := time.After(20 * time.Second)
	for !is() {
		select {
		case <-time.After(time.Millisecond):
		case <-deadline:
			w.Fatalf("never: %s", what)
		}
	}
}

// hook is how a webhook of acme is.
func (w *world) hook(name string) map[string]any {
	w.Helper()
	answered := w.send("ada", "GET "+hooksOfAcme+"/{"+name+"}", "")
	if answered.status != 200 {
		w.Fatalf("status %d: %s", answered.status, answered.body)
	}
	return answered.object(w)
}

// delivery is how far it is.
func (w *world) delivery(name string) map[string]any {
	w.Helper()
	return w.hook(name)["delivery"].(map[string]any)
}

const hooksOfAcme = "/api/v1/organizations/acme/webhooks"

var noonInstant = domain.At(noon)

func addressOf(text string) netip.Addr { return netip.MustParseAddr(text) }

func rootsOf(server *httptest.Server) *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(server.Certificate())
	return pool
}

// lyingResolver asks a name server that answers every question with one address.
func lyingResolver(t testing.TB, address [4]byte) *net.Resolver {
	t.Helper()
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close() })
	go func() {
		for packet := make([]byte, 512); ; {
			n, from, err := socket.ReadFrom(packet)
			if err != nil {
				return
			}
			_, _ = socket.WriteTo(lie(packet[:n], address), from)
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", socket.LocalAddr().String())
	}}
}

// lie is an answer to a question of DNS: one address, if IPv4 was asked for.
func lie(question []byte, address [4]byte) []byte {
	end := 12
	for question[end] != 0 {
		end += int(question[end]) + 1
	}
	end += 5 // the root, a type, a class
	answer := slices.Clone(question[:end])
	answer[2], answer[3] = 0x84, 0
	clear(answer[6:12])
	if answer[end-3] != 1 {
		return answer
	}
	answer[7] = 1
	return append(append(answer, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4), address[:]...)
}

// counted is how many deliveries have had an outcome.
func (w *world) counted(outcome string) float64 {
	w.Helper()
	families, err := w.metrics.Gather()
	w.must(err)
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if family.GetName() == "jeton_webhook_deliveries_total" && m.GetLabel()[0].GetValue() == outcome {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}
