package http

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"reflect"
	"slices"
	"strconv"

	"jeton/domain"
)

// labView is the route of a view. rows are those that the caller may see, the youngest
// first; finish, if it is not nil, adds what takes long to those of the answer.
func labView[Row any](d *dialect, name, summary string, rows func(context.Context, Caller, labQuery) (iter.Seq2[Row, error], error),
	finish func(context.Context, Caller, []Row) error, needs ...domain.Permission,
) route {
	return route{
		pattern: "GET " + d.databaseLab("/"+name), summary: summary,
		access: access{who: bearer, needs: needs, tokens: d.headers},
		mount: labMount(d, nil, func(w http.ResponseWriter, r *http.Request, c Caller) error {
			ctx, cancel := context.WithCancel(r.Context())
			defer cancel()
			q, err := labQueryOf(r, reflect.TypeFor[Row]())
			if err != nil {
				return err
			}
			found, err := rows(ctx, c, q)
			if err != nil {
				return err
			}
			answer, contentRange, err := labRowsOf(q, found)
			if err == nil && finish != nil {
				err = finish(ctx, c, answer)
			}
			if err != nil {
				return err
			}
			w.Header().Set("Content-Range", contentRange)
			return labEncodeRows(w, q, answer)
		}),
	}
}

// labEncodeRows answers with rows, or with those of their columns that are wanted.
func labEncodeRows[Row any](w http.ResponseWriter, q labQuery, rows []Row) error {
	text, err := json.Marshal(rows)
	if err != nil {
		return err
	}
	if q.only == nil {
		w.Header()["Content-Type"] = jsonType
		_, _ = w.Write(append(text, '\n')) // the caller has gone if it fails
		return nil
	}
	var all []map[string]json.RawMessage
	if err := json.Unmarshal(text, &all); err != nil {
		return err
	}
	for i, row := range all {
		all[i] = map[string]json.RawMessage{}
		for _, name := range q.only {
			if value, there := row[name]; there {
				all[i][name] = value
			}
		}
	}
	return encode(w, all)
}

// labMapped are other rows made of rows.
func labMapped[From, To any](from iter.Seq2[From, error], to func(From) To) iter.Seq2[To, error] {
	return func(yield func(To, error) bool) {
		for row, err := range from {
			if err != nil {
				var none To
				yield(none, err)
				return
			}
			if !yield(to(row), nil) {
				return
			}
		}
	}
}

// labListed are rows that are all there.
func labListed[Row any](rows []Row) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		for _, row := range rows {
			if !yield(row, nil) {
				return
			}
		}
	}
}

// labPaged are rows of which pages of labPage are asked for, one behind the other.
func labPaged[Row any](page func() ([]Row, error), behind func(Row)) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		for full := true; full; {
			rows, err := page()
			if err != nil {
				var none Row
				yield(none, err)
				return
			}
			for _, row := range rows {
				if behind(row); !yield(row, nil) {
					return
				}
			}
			full = len(rows) == labPage
		}
	}
}

// labRowsOf answers a question with rows, the youngest first, and says what to say in
// Content-Range.
func labRowsOf[Row any](q labQuery, rows iter.Seq2[Row, error]) (answer []Row, contentRange string, err error) {
	answer, total := []Row{}, 0
	for row, err := range rows {
		if err != nil {
			return nil, "", err
		}
		if !q.passes(reflect.ValueOf(&row).Elem()) {
			continue
		}
		if q.order != nil && total == labMostSorted {
			return nil, "", problem(400, "invalid", "order: there are too many rows to put into another order", "ask for fewer with filters, or take order=id.desc")
		}
		total++
		if q.order != nil || total > q.offset && total <= q.offset+q.limit {
			answer = append(answer, row)
		}
		if q.order == nil && !q.count && total >= q.offset+q.limit {
			break
		}
	}
	if q.order != nil {
		answer = labSorted(q, answer)
	}
	return answer, q.contentRange(len(answer), total), nil
}

// labSorted is the part of the rows that is wanted, in the order that is wanted.
func labSorted[Row any](q labQuery, rows []Row) []Row {
	slices.SortStableFunc(rows, func(a, b Row) int {
		for _, by := range q.order {
			order := by.column.compare(reflect.ValueOf(&a).Elem(), reflect.ValueOf(&b).Elem())
			if by.down {
				order = -order
			}
			if order != 0 {
				return order
			}
		}
		return 0
	})
	from := min(q.offset, len(rows))
	return rows[from : from+min(q.limit, len(rows)-from)]
}

func (q labQuery) passes(row reflect.Value) bool {
	return !slices.ContainsFunc(q.filters, func(passes labFilter) bool { return !passes(row) })
}

// contentRange says which rows these are, and of how many if that was asked.
func (q labQuery) contentRange(rows, total int) string {
	which, of := "*", "*"
	if rows > 0 {
		which = fmt.Sprintf("%d-%d", q.offset, q.offset+rows-1)
	}
	if q.count {
		of = strconv.Itoa(total)
	}
	return which + "/" + of
}
