package http

import (
	"cmp"
	"reflect"
	"slices"
	"strings"

	"jeton/domain"
)

// labColumn is a column of a view: a field of its rows.
type labColumn struct {
	name string
	at   []int // see reflect.Value.FieldByIndex
	kind labKind
}

// labKind is what a column can be asked for.
type labKind uint8

const (
	labOther labKind = iota // nothing: it is only shown
	labNumeric
	labTextual
	labTruth
	labMoment
)

type labColumns []labColumn

// labColumnsOf are the columns of rows: by their names in JSON, or, of what is only
// looked through and never shown, in the tag lab.
func labColumnsOf(row reflect.Type, at ...int) (columns labColumns) {
	for i := range row.NumField() {
		field := row.Field(i)
		place := append(slices.Clone(at), i)
		name, _, _ := strings.Cut(cmp.Or(field.Tag.Get("lab"), field.Tag.Get("json")), ",")
		switch {
		case field.Anonymous:
			columns = append(columns, labColumnsOf(field.Type, place...)...)
		case name != "" && name != "-":
			columns = append(columns, labColumn{name, place, labKindOf(field.Type)})
		}
	}
	return columns
}

func labKindOf(t reflect.Type) labKind {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t == reflect.TypeFor[domain.Instant]():
		return labMoment
	case t.Kind() == reflect.String:
		return labTextual
	case t.Kind() == reflect.Bool:
		return labTruth
	case t.ConvertibleTo(reflect.TypeFor[int64]()):
		return labNumeric
	}
	return labOther
}

func (all labColumns) find(name string) (labColumn, bool) {
	i := slices.IndexFunc(all, func(c labColumn) bool { return c.name == name })
	if i < 0 {
		return labColumn{}, false
	}
	return all[i], true
}

// of is the column's value in a row; there is none if it is null.
func (c labColumn) of(row reflect.Value) (value reflect.Value, there bool) {
	value = row.FieldByIndex(c.at)
	if value.Kind() != reflect.Pointer {
		return value, true
	}
	return value.Elem(), !value.IsNil()
}

func (c labColumn) number(row reflect.Value) (int64, bool) {
	value, there := c.of(row)
	if !there {
		return 0, false
	}
	return value.Convert(reflect.TypeFor[int64]()).Int(), true
}

func (c labColumn) text(row reflect.Value) (string, bool) {
	value, there := c.of(row)
	if !there {
		return "", false
	}
	return value.String(), true
}

// compare is how two rows stand to each other. Null comes last, as there.
func (c labColumn) compare(a, b reflect.Value) int {
	x, there := c.of(a)
	y, too := c.of(b)
	switch {
	case !there || !too:
		return cmp.Compare(btoi(!there), btoi(!too))
	case c.kind == labTextual:
		return cmp.Compare(x.String(), y.String())
	case c.kind == labTruth:
		return cmp.Compare(btoi(x.Bool()), btoi(y.Bool()))
	}
	return cmp.Compare(x.Convert(reflect.TypeFor[int64]()).Int(), y.Convert(reflect.TypeFor[int64]()).Int())
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
