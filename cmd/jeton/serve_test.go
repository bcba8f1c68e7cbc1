package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
)

// begin opens a whole service in this process. Tests that end it early call Close
// themselves.
func begin(t *testing.T, change func(*Config)) *Main {
	t.Helper()
	c := defaults().withDefaults()
	c.Data, c.Listen, c.StartTimeout = filepath.Join(t.TempDir(), "data"), "127.0.0.1:0", 0
	change(&c)
	m := &Main{Stores: Stores{Config: c, Version: "test", Log: zerolog.New(zerolog.NewTestWriter(t))}, Stdout: new(bytes.Buffer), Now: time.Now}
	if err := m.Open(context.Background()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

func get(t *testing.T, client *http.Client, url string) (int, string) {
	t.Helper()
	response, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

// A service that is closed gives everything back, and can be opened again.
func TestMainOpensAgain(t *testing.T) {
	m := begin(t, func(*Config) {})
	if m.Founded == nil || !strings.Contains(m.Stdout.(*bytes.Buffer).String(), m.Founded.Token) {
		t.Error("an empty directory was not founded, or its token not printed")
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	again := begin(t, func(c *Config) { c.Data = m.Config.Data })
	if again.Founded != nil {
		t.Error("it was founded twice")
	}
	if err := again.Views.Wait(t.Context(), again.Model.Position()); err != nil {
		t.Fatal(err)
	}
	if status, body := get(t, http.DefaultClient, again.URL+"/readyz"); status != 200 {
		t.Errorf("/readyz: %d %s", status, body)
	}
}

// Less space than is to be kept free: not ready, but serving.
func TestReadyWantsDisk(t *testing.T) {
	m := begin(t, func(c *Config) { c.DiskReserve = 1 << 60 })
	if status, body := get(t, http.DefaultClient, m.URL+"/readyz"); status != 503 || !strings.Contains(body, `"disk"`) {
		t.Errorf("/readyz: %d %s", status, body)
	}
	if status, _ := get(t, http.DefaultClient, m.URL+"/livez"); status != 200 {
		t.Errorf("/livez: %d", status)
	}
	if status, body := get(t, http.DefaultClient, m.URL+"/metrics"); status != 200 || !strings.Contains(body, "jeton_disk_free_bytes") {
		t.Errorf("/metrics: %d without jeton_disk_free_bytes", status)
	}
}

// A log that disappears while the service runs: it lives, is not ready, and
// serves nothing from what it has in memory.
func TestDamageWhileRunning(t *testing.T) {
	server, err := natsserver.NewServer(&natsserver.Options{
		Host: "127.0.0.1", Port: natsserver.RANDOM_PORT, NoSigs: true, NoLog: true, JetStream: true,
		StoreDir: t.TempDir(), JetStreamMaxStore: 4 << 30, JetStreamMaxMemory: 64 << 20,
	})
	if err != nil {
		t.Fatal(err)
	}
	server.Start()
	t.Cleanup(func() { server.Shutdown(); server.WaitForShutdown() })
	if !server.ReadyForConnections(10 * time.Second) {
		t.Fatal("no NATS")
	}
	m := begin(t, func(c *Config) { c.NATS = server.ClientURL() })
	deleteStream(t, server.ClientURL())
	for end := time.Now().Add(30 * time.Second); m.Model.Err() == nil; <-time.After(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("nobody has noticed")
		}
	}
	for path, want := range map[string]int{"/livez": 200, "/readyz": 503, "/api/v1/whoami": 503} {
		request, _ := http.NewRequest("GET", m.URL+path, nil)
		request.Header.Set("Authorization", "Bearer "+m.Founded.Token)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("GET %s: %d, not %d", path, response.StatusCode, want)
		}
	}
}

func deleteStream(t *testing.T, url string) {
	t.Helper()
	conn, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	names := js.StreamNames(context.Background())
	for name := range names.Name() {
		if err := js.DeleteStream(context.Background(), name); err != nil {
			t.Fatal(err)
		}
	}
}

// A renewed certificate is used without a restart.
func TestCertificateIsReadAgain(t *testing.T) {
	cert, key := filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	writeCertificate(t, cert, key, 1, time.Unix(1, 0))
	m := begin(t, func(c *Config) { c.TLSCert, c.TLSKey = cert, key })
	if !strings.HasPrefix(m.URL, "https://") {
		t.Fatalf("the address is %s", m.URL)
	}
	for serial := range int64(2) {
		writeCertificate(t, cert, key, serial+1, time.Unix(serial+1, 0))
		conn, err := tls.Dial("tcp", strings.TrimPrefix(m.URL, "https://"), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		if got := conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64(); got != serial+1 {
			t.Errorf("certificate %d is shown, not %d", got, serial+1)
		}
		_ = conn.Close()
	}
}

func writeCertificate(t *testing.T, certFile, keyFile string, serial int64, changed time.Time) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "jeton"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{keyFile: {Type: "PRIVATE KEY", Bytes: private}, certFile: {Type: "CERTIFICATE", Bytes: der}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, changed, changed); err != nil {
			t.Fatal(err)
		}
	}
}

// Of those who claim an empty directory at once one gets it, and what the others
// are told is true.
func TestClaimHasOneWinner(t *testing.T) {
	d := directory(filepath.Join(t.TempDir(), "data"))
	results := make(chan error, 8)
	for range cap(results) {
		go func() {
			c, err := d.claim()
			if err == nil {
				err = c.finish(mark{Format: markFormat, StoreID: "x"})
			}
			results <- err
		}()
	}
	won := 0
	for range cap(results) {
		var c coded
		switch err := <-results; {
		case err == nil:
			won++
		case !errors.As(err, &c) || c.code != exitConflict:
			t.Errorf("a loser was told %v", err)
		}
	}
	if won != 1 {
		t.Errorf("%d have got the directory", won)
	}
	if _, err := os.Stat(d.path(foundingFile)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is still there: %v", foundingFile, err)
	}
}
