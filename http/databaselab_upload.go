package http

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"sync"
	"time"
	"unicode/utf8"

	"jeton/domain"
	"jeton/eventstore"
)

// Files arrive in two ways: as what a request is, which is stored as it comes, and
// as a string in JSON, which must be read whole. Of the latter only so many are in
// memory at once, and only for who has shown a token in a header or in what the
// request begins with: of a stranger nothing is read that is longer than any other
// request.

const (
	usualContent  = 64 << 20 // of a file, in bytes
	manyRooms     = 4
	manyRoomsEach = manyRooms / 2 // for one organization: nobody has all
	roomPatience  = 10 * time.Second
	largeTimeout  = 5 * time.Minute // to arrive, once there is a room
)

// mostContent is how many bytes a file may have.
func (s *Server) mostContent() int64 { return cmp.Or(s.MaxContent, usualContent) }

// rooms are where large things may be in memory: so many in all, and of these some
// for each organization.
type rooms struct {
	all chan struct{}

	mu sync.Mutex
	of map[domain.OrganizationID]chan struct{}
}

func newRooms() *rooms {
	return &rooms{all: make(chan struct{}, manyRooms), of: map[domain.OrganizationID]chan struct{}{}}
}

var errNoRoom = problem(http.StatusServiceUnavailable, "busy", "too many large requests at once", "try again in a moment")

// enter waits for a room. Whoever is inside leaves.
func (r *rooms) enter(ctx context.Context, org domain.OrganizationID) (leave func(), err error) {
	patience := time.NewTimer(roomPatience)
	defer patience.Stop()
	own := r.own(org)
	if err := occupy(ctx, own, patience.C); err != nil {
		return nil, err
	}
	if err := occupy(ctx, r.all, patience.C); err != nil {
		<-own
		return nil, err
	}
	return func() { <-r.all; <-own }, nil
}

func (r *rooms) own(org domain.OrganizationID) chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.of[org] == nil {
		r.of[org] = make(chan struct{}, manyRoomsEach)
	}
	return r.of[org]
}

func occupy(ctx context.Context, rooms chan struct{}, impatient <-chan time.Time) error {
	select {
	case rooms <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-impatient:
		return errNoRoom
	}
}

// large lets a request in whose body may be large: at once if it is not, and else
// when there is a room for it.
func (d *dialect) large(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := bufio.NewReaderSize(r.Body, bodyLimit+1)
		var content io.Reader = body
		if begin, _ := body.Peek(bodyLimit + 1); len(begin) > bodyLimit {
			leave, err := d.room(r, begin)
			if err != nil {
				content = failing{err}
			} else {
				defer leave()
				_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(largeTimeout)) // without one it is as long as any other
			}
		}
		r.Body = struct {
			io.Reader
			io.Closer
		}{content, r.Body}
		next.ServeHTTP(w, r)
	})
}

// room is one for a request that begins so, and of which somebody is known to have
// shown a token. Whether it is good is settled at the door.
func (d *dialect) room(r *http.Request, begin []byte) (leave func(), err error) {
	shown, err := d.headers(r)
	if err != nil {
		return nil, err
	}
	for _, text := range wholeSecret.FindAll(begin, 2) {
		shown = append(shown, string(text))
	}
	for _, text := range shown {
		if org, known, err := d.Model.Owner(text); err != nil {
			return nil, err
		} else if known {
			return d.rooms.enter(r.Context(), org)
		}
	}
	return nil, errNoCredential
}

// failing is content of which nothing is read.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// decodeLarge is decode for a body that may be large: it is read as it comes, and
// no buffer for others grows by it.
func decodeLarge(r *http.Request, v any) error {
	text := &utf8Reader{from: r.Body}
	decoder := json.NewDecoder(text)
	decoder.DisallowUnknownFields()
	err := decoder.Decode(v)
	if err == nil {
		if _, err = decoder.Token(); err == io.EOF {
			return nil
		}
		err = problem(400, "malformed", "there is text behind the JSON value", "send one JSON value")
	}
	if text.err != nil && text.err != io.EOF {
		return brokenOff(text.err)
	}
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	return undecodable(err)
}

// utf8Reader reads UTF-8, and remembers why it ended.
type utf8Reader struct {
	from io.Reader
	part []byte // of a letter, at the end of what was read
	err  error
}

var errNotUTF8 = problem(400, "malformed", "the body is not UTF-8", "send it as UTF-8")

func (u *utf8Reader) Read(into []byte) (n int, err error) {
	n, err = u.from.Read(into)
	text := append(u.part, into[:n]...)
	if len(u.part) == 0 {
		text = into[:n]
	}
	u.part, u.err = nil, err
	switch whole := len(text) - begun(text); {
	case !utf8.Valid(text[:whole]), err == io.EOF && whole < len(text):
		u.err = errNotUTF8
		return 0, u.err
	case whole < len(text):
		u.part = append([]byte(nil), text[whole:]...)
	}
	return n, err
}

// begun is how many bytes at the end of a text begin a letter that is not all there.
func begun(text []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(text); n++ {
		if last := text[len(text)-n:]; utf8.RuneStart(last[0]) {
			if utf8.FullRune(last) {
				return 0
			}
			return n
		}
	}
	return 0
}

// brokenOff says why content did not arrive. What is no refusal is that its sender
// has gone.
func brokenOff(err error) error {
	if p := translate(err); p.Status != http.StatusInternalServerError {
		return err
	}
	return unreadable(err)
}

// labFile is something to be kept beside the log.
type labFile struct {
	part, media string
	content     io.Reader
}

// put keeps files for the caller's organization. What it has kept must be kept by a
// record or be dropped.
func (s *Server) put(ctx context.Context, c Caller, files []labFile) (kept []domain.Content, err error) {
	for _, f := range files {
		content, err := s.putOne(ctx, c, f)
		if err != nil {
			s.drop(ctx, kept)
			return nil, err
		}
		kept = append(kept, content)
	}
	return kept, nil
}

func (s *Server) putOne(ctx context.Context, c Caller, f labFile) (domain.Content, error) {
	if s.Objects == nil {
		return domain.Content{}, problem(http.StatusServiceUnavailable, "no-objects", "files can't be kept here", "ask the operator to configure where files are kept")
	}
	name := c.Organization.String() + "/" + domain.RandomID().String()
	source := &remembering{from: f.content}
	object, err := s.Objects.Put(ctx, name, source, s.mostContent())
	switch {
	case err == nil:
		return domain.Content{Part: f.part, Object: name, Digest: object.Digest, Size: object.Size, Media: f.media}, nil
	case source.err != nil:
		return domain.Content{}, brokenOff(source.err)
	case errors.Is(err, eventstore.ErrTooLarge):
		err = problem(http.StatusRequestEntityTooLarge, "too-large", fmt.Sprintf("%s has more than %d bytes", f.part, s.mostContent()), "send less")
	}
	return domain.Content{}, err
}

// remembering remembers why it could not be read to its end.
type remembering struct {
	from io.Reader
	err  error
}

func (r *remembering) Read(into []byte) (n int, err error) {
	if n, err = r.from.Read(into); err != nil && err != io.EOF {
		r.err = err
	}
	return n, err
}

// drop deletes what no record keeps. What it does not reach is swept later.
func (s *Server) drop(ctx context.Context, kept []domain.Content) {
	for _, content := range kept {
		_ = s.Objects.Delete(context.WithoutCancel(ctx), content.Object)
	}
}

// open opens what is kept beside the log.
func (s *Server) open(ctx context.Context, content domain.Content) (io.ReadCloser, error) {
	if s.Objects == nil {
		return nil, damaged(content, eventstore.ErrNoObject)
	}
	object, reader, err := s.Objects.Get(ctx, content.Object)
	switch {
	case errors.Is(err, eventstore.ErrNoObject), errors.Is(err, eventstore.ErrCorrupt):
		return nil, damaged(content, err)
	case err != nil:
		return nil, err
	case object.Digest != content.Digest || object.Size != content.Size:
		_ = reader.Close()
		return nil, damaged(content, eventstore.ErrCorrupt)
	}
	return reader, nil
}

// damaged is that something is not what was sent. Why is for the operator.
func damaged(content domain.Content, err error) error {
	p := problem(http.StatusInternalServerError, "damaged", "what was sent is not there any more as it was", "tell the operator, and send it again if you have it")
	return fmt.Errorf("object %s: %w: %w", content.Object, err, p)
}

// load is all of what is kept beside the log.
func (s *Server) load(ctx context.Context, content domain.Content) ([]byte, error) {
	reader, err := s.open(ctx, content)
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	text, err := io.ReadAll(reader)
	if err != nil && ctx.Err() == nil {
		return nil, damaged(content, err)
	}
	return text, err
}

// safeMedia are those that no browser runs anything in.
var safeMedia = map[string]string{
	mediaText: mediaText + "; charset=utf-8", mediaCSV: mediaCSV + "; charset=utf-8", mediaJSON: mediaJSON,
}

const (
	mediaText = "text/plain"
	mediaCSV  = "text/csv"
	mediaJSON = "application/json"
)

// fileLetters are those that a name may have which a browser gives a file.
var fileLetters = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// attach sets what stands above a file that is downloaded.
func attach(h http.Header, media, name string) {
	h.Set("Content-Type", cmp.Or(safeMedia[media], "application/octet-stream"))
	h.Set("Content-Disposition", `attachment; filename="`+fileLetters.ReplaceAllString(name, "_")+`"`)
}

// pour gives all of what is kept. What turns out to be damaged on the way breaks the
// answer off, so that nobody takes it for all.
func pour(w io.Writer, content io.Reader) {
	if _, err := io.Copy(w, content); err != nil {
		panic(http.ErrAbortHandler)
	}
}
