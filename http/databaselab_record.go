package http

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"iter"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"jeton/domain"
	"jeton/eventstore"
	"jeton/projections"
)

// parcel is what a program has sent to be kept of a record. What is short becomes
// its facts, which stand in the log; what is long is kept beside it.
type parcel struct {
	facts map[string]any // by name: strings, or any JSON. Those that do not fit become files
	files []labFile      // what is always a file
}

// mostFact is how long a fact may be that is kept in the log.
const mostFact = 4 << 10

// long adds a text that is always a file, unless it is empty.
func (p *parcel) long(part, media, text string) {
	if text != "" {
		p.files = append(p.files, labFile{part, media, strings.NewReader(text)})
	}
}

// pack is the facts as JSON, and the files. A fact that has become a file is null, so
// that it is not taken for one that is not there.
func (p parcel) pack() (json.RawMessage, []labFile, error) {
	facts, files := map[string]any{}, p.files
	maps.Copy(facts, p.facts)
	for {
		text, err := json.Marshal(facts)
		if err != nil {
			return nil, nil, domain.Invalid("body", "has a value that is not JSON", "send JSON")
		}
		name, size := longestFact(facts)
		if size <= mostFact && (len(text) <= domain.MaxFacts || size < len(`""`)) {
			return text, files, nil
		}
		files = append(files, fileOf(name, facts[name]))
		facts[name] = nil
	}
}

// longestFact is the longest of the facts that can be a file.
func longestFact(facts map[string]any) (longest string, size int) {
	for _, name := range slices.Sorted(maps.Keys(facts)) {
		n := 0
		switch fact := facts[name].(type) {
		case string:
			n = len(fact)
		case json.RawMessage:
			n = len(fact)
		}
		if n > size {
			longest, size = name, n
		}
	}
	return longest, size
}

func fileOf(name string, fact any) labFile {
	if text, is := fact.(string); is {
		return labFile{name, mediaText, strings.NewReader(text)}
	}
	return labFile{name, mediaJSON, strings.NewReader(string(fact.(json.RawMessage)))}
}

var errSecretSent = domain.Invalid("body", "has the secret of a token in it, where none belongs", "revoke that token, and send it without")

// keep keeps a record with what belongs to it. Its number is the position of the
// outcome; if there was one with its key already, it is the number of that.
func (s *Server) keep(ctx context.Context, c Caller, command domain.KeepRecord, p parcel) (domain.Position, error) {
	done, err := s.store(ctx, c, p, func(facts json.RawMessage, content []domain.Content) domain.OrganizationCommand {
		command.Facts, command.Content = facts, content
		return command
	})
	if err != nil || len(done.Events) > 0 {
		return done.Position, err
	}
	at, _ := s.Model.RecordKeyed(c.Organization, command.Kind, command.Key)
	return at, nil
}

// amend changes a record.
func (s *Server) amend(ctx context.Context, c Caller, kind domain.RecordKind, number domain.Position, p parcel) (domain.Position, error) {
	done, err := s.store(ctx, c, p, func(facts json.RawMessage, content []domain.Content) domain.OrganizationCommand {
		return domain.AmendRecord{Number: number, Kind: kind, Facts: facts, Content: content}
	})
	return done.Position, err
}

// store puts files first and then executes the command about them, so that nothing
// names what is not there. What the command refuses without files is refused before
// any is stored.
func (s *Server) store(ctx context.Context, c Caller, p parcel, command func(json.RawMessage, []domain.Content) domain.OrganizationCommand) (done projections.Outcome, err error) {
	facts, files, err := p.pack()
	if err != nil {
		return done, err
	}
	if wholeSecret.Match(facts) {
		return done, errSecretSent
	}
	if _, err := s.Model.Try(c.Meta(), command(facts, nil)); err != nil {
		return done, err
	}
	content, err := s.put(ctx, c, files)
	if err != nil {
		return done, err
	}
	done, err = s.Model.Execute(ctx, c.Meta(), command(facts, content))
	if notDone(err) || err == nil && len(done.Events) == 0 {
		s.drop(ctx, content)
	}
	return done, err
}

// notDone reports whether it is certain that a command has left nothing. Where it is
// not, files stay: a record may name them.
func notDone(err error) bool {
	return refused(err) || errors.Is(err, eventstore.ErrConflict) || errors.Is(err, eventstore.ErrUnavailable) || errors.Is(err, eventstore.ErrTooLarge)
}

// within is the record of a kind that a record is or belongs to, at whatever remove; 0:
// there is none.
func (s *Server) within(c Caller, kind domain.RecordKind, number domain.Position) domain.Position {
	for number != 0 {
		has, parent, known := s.Model.Record(c.Organization, number)
		if !known || has == kind {
			return number
		}
		number = parent
	}
	return 0
}

// there refuses a number of which there is no record of the kind.
func (s *Server) there(c Caller, kind domain.RecordKind, number domain.Position) error {
	if has, _, known := s.Model.Record(c.Organization, number); !known || has != kind {
		return domain.Refuse(domain.ErrNotFound, "there is no such %s", "look at the list, or make one first", kind)
	}
	return nil
}

// kept are the records that a filter chooses, the youngest first.
func (s *Server) kept(ctx context.Context, c Caller, f projections.RecordFilter) iter.Seq2[projections.RecordRow, error] {
	f.Organization, f.Limit = c.Organization, labPage
	return labPaged(func() ([]projections.RecordRow, error) { return s.Views.Records(ctx, f) },
		func(row projections.RecordRow) { f.Before = row.Number })
}

// records are the records of a kind that may be what a question asks for. parent is the
// column for what they belong to.
func (s *Server) records(ctx context.Context, c Caller, q labQuery, kind domain.RecordKind, parent string) iter.Seq2[projections.RecordRow, error] {
	all := s.kept(ctx, c, projections.RecordFilter{Kind: kind, Parent: q.equal[parent], Project: q.equal["project_id"], Before: q.before})
	return func(yield func(projections.RecordRow, error) bool) {
		for row, err := range all {
			if err == nil && row.Number <= q.above || !yield(row, err) {
				return
			}
		}
	}
}

// count is how many records a filter chooses.
func (s *Server) count(ctx context.Context, c Caller, f projections.RecordFilter) (n int, err error) {
	for _, err := range s.kept(ctx, c, f) {
		if err != nil {
			return 0, err
		}
		n++
	}
	return n, nil
}

// part is the content of a record that is called so.
func part(row projections.RecordRow, name string) (domain.Content, bool) {
	i := slices.IndexFunc(row.Content, func(c domain.Content) bool { return c.Part == name })
	if i < 0 {
		return domain.Content{}, false
	}
	return row.Content[i], true
}

// labNumber is the number of something among arguments. Some send it as a number,
// others as a string; none is 0, null or an empty string.
type labNumber domain.Position

// UnmarshalJSON refuses what is no number.
func (n *labNumber) UnmarshalJSON(value []byte) error {
	text, word := string(value), "number"
	switch {
	case text == "null" || text == `""`:
		return nil
	case value[0] == '"':
		text, word = strings.Trim(text, `"`), "string"
	case value[0] == '{':
		word = "object"
	case value[0] == '[':
		word = "array"
	case text == "true" || text == "false":
		word = "bool"
	}
	number, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		return &json.UnmarshalTypeError{Value: word, Type: reflect.TypeFor[domain.Position]()}
	}
	*n = labNumber(number)
	return nil
}

// needed is the number, which must be there.
func (n labNumber) needed(field, what string) (domain.Position, error) {
	if n == 0 {
		return 0, domain.Invalid(field, "is missing", "send the number of the "+what)
	}
	return domain.Position(n), nil
}

// labNumbers are numbers of things that are to go.
type labNumbers []labNumber

func (all labNumbers) positions() []domain.Position {
	positions := make([]domain.Position, len(all))
	for i, n := range all {
		positions[i] = domain.Position(n)
	}
	return positions
}

// labOwn is the caller's organization by its number, if one is named. Another one does
// not exist for them.
func labOwn(c Caller, org labNumber) error {
	if org != 0 && domain.Position(org) != c.Number {
		return labElsewhere(c, domain.Position(org))
	}
	return nil
}

func labElsewhere(c Caller, org domain.Position) error {
	return noOrganization(c.Checked, strconv.FormatUint(uint64(org), 10), "send the number of the organization that your token is bound to")
}

// labText is a text that must be there.
func labText(field string, text *string, next string) (string, error) {
	if text == nil || *text == "" {
		return "", domain.Invalid(field, "is missing", next)
	}
	return *text, nil
}

// labWaiting is where something that is kept beside the log is to be shown.
type labWaiting struct {
	content domain.Content
	take    func([]byte)
}

// fetch loads what waits, if it is not too much for an answer. What is large has a room
// until ctx ends.
func (d *dialect) fetch(ctx context.Context, c Caller, all []labWaiting) error {
	sum := int64(0)
	for _, w := range all {
		sum += w.content.Size
	}
	if sum > d.mostContent() {
		return problem(http.StatusRequestEntityTooLarge, "too-large", "the rows have more content than fits into an answer", "ask for fewer rows, or download them one by one")
	}
	if sum > bodyLimit {
		leave, err := d.rooms.enter(ctx, c.Organization)
		if err != nil {
			return err
		}
		context.AfterFunc(ctx, leave)
	}
	for _, w := range all {
		text, err := d.load(ctx, w.content)
		if err != nil {
			return err
		}
		w.take(text)
	}
	return nil
}

// labShort refuses texts that are no names of anything, being too long.
func labShort(field string, texts ...string) error {
	for _, text := range texts {
		if len(text) > mostShort {
			return domain.Invalid(field, "has %d bytes", fmt.Sprintf("send at most %d", mostShort), len(text))
		}
	}
	return nil
}

const mostShort = 1000
