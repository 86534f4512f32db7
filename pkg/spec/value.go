package spec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
)

var errNotEmpty = errors.New("not empty")

// DecodeValue returns the one JSON value in b as Go values, by the rules of Payload.Decode. The errors are
// *DecodeError.
func DecodeValue(b []byte) (any, error) {
	var value any
	err := whole(b, func(s *scanner) (err error) {
		value, err = s.decode(1)
		return err
	})
	return value, err
}

// DecodeFields returns the members of the one object in b in file order, with their values' tokens byte for byte: for
// files of which only some keys are known. Equal keys stay as they are. The errors are *DecodeError.
func DecodeFields(b []byte) ([]Field, error) {
	var fields []Field
	err := whole(b, func(s *scanner) error {
		if err := s.expect('{'); err != nil {
			return err
		}
		return s.object(1, func(key quoted) (err error) {
			fields, err = s.unknown(fields, key)
			return inKey(key, err)
		})
	})
	if err != nil {
		return nil, err
	}
	return fields, nil
}

// EncodeFields returns an object as the original writes files: two spaces of indent a level and a newline at the end.
// A value that is not one JSON value is written as null.
func EncodeFields(fields []Field) []byte {
	w := writer{indent: 2}
	w.open('{')
	w.extra(fields, nil)
	w.close('}')
	return append(w.out, '\n')
}

// unknown passes the value of an unknown key and keeps both.
func (s *scanner) unknown(fields []Field, key quoted) ([]Field, error) {
	value, err := s.copyValue()
	return append(fields, Field{Name: key.text(), Value: value}), err
}

// copyValue passes the value ahead and returns a copy of it without white space, its tokens byte for byte.
func (s *scanner) copyValue() ([]byte, error) {
	w := writer{verbatim: true, out: s.scratch[:0]}
	err := w.transcribe(s, 1)
	s.scratch = w.out
	return bytes.Clone(w.out), err
}

// decode returns the value ahead as Go values.
func (s *scanner) decode(depth int) (any, error) {
	switch s.peek() {
	case '{':
		object := map[string]any{}
		err := s.object(depth, func(key quoted) (err error) {
			object[key.text()], err = s.decode(depth + 1)
			return err
		})
		return object, err
	case '[':
		list := []any{}
		err := s.array(depth, func(int) error {
			item, err := s.decode(depth + 1)
			list = append(list, item)
			return err
		})
		return list, err
	case '"':
		token, err := s.str()
		return token.text(), err
	}
	token, err := s.scalar()
	if err != nil {
		return nil, err
	}
	switch text := string(token); text {
	case "true", "false":
		return text == "true", nil
	case "null":
		return nil, nil
	default:
		return json.Number(text), nil
	}
}

// EncodeValue returns v as compact text of the original's JSON dialect, the same text for the same value: keys are
// sorted, floats are written as Python prints them (NaN and infinities as bare words). It takes what Decode returns,
// every Go integer and float, json.RawMessage and Payload (checked, tokens kept), and maps with string keys, slices,
// pointers and named types of all these. Anything else, and nesting beyond DepthMax, is an error.
func EncodeValue(v any) (json.RawMessage, error) {
	var w writer
	if err := w.value(v, 1); err != nil {
		return nil, fmt.Errorf("encode JSON: %w", err)
	}
	return w.out, nil
}

// value writes the usual types; reflected writes the others.
func (w *writer) value(v any, depth int) error {
	switch v := v.(type) {
	case nil:
		w.word("null")
	case bool:
		w.bool(v)
	case string:
		w.text(v)
	case float64:
		w.float(v)
	case int:
		w.out = strconv.AppendInt(w.out, int64(v), 10)
	case json.Number:
		return w.number(v)
	case json.RawMessage:
		return w.checked(v, depth)
	case Payload:
		if len(v) == 0 {
			v = Payload("{}")
		}
		return w.checked(v, depth)
	case map[string]any:
		return writeMap(w, v, depth)
	case []any:
		return writeList(w, v, depth)
	default:
		return w.reflected(reflect.ValueOf(v), depth)
	}
	return nil
}

// number writes a json.Number if it holds a number of the dialect.
func (w *writer) number(n json.Number) error {
	s := &scanner{text: []byte(n)}
	token, err := s.scalar()
	if err != nil || s.pos != len(n) || n == "true" || n == "false" || n == "null" {
		return fmt.Errorf("%q is not a number", clip(string(n)))
	}
	w.scalar(token)
	return nil
}

// checked writes a value given as text.
func (w *writer) checked(text []byte, depth int) error {
	return whole(text, func(s *scanner) error { return w.transcribe(s, depth) })
}

func writeMap[V any](w *writer, object map[string]V, depth int) error {
	if depth > DepthMax {
		return fmt.Errorf("nested deeper than %d", DepthMax)
	}
	w.open('{')
	for _, name := range sortedKeys(object) {
		w.key(name)
		if err := w.value(object[name], depth+1); err != nil {
			return fmt.Errorf("%s: %w", clip(name), err)
		}
	}
	w.close('}')
	return nil
}

func writeList[V any](w *writer, list []V, depth int) error {
	if depth > DepthMax {
		return fmt.Errorf("nested deeper than %d", DepthMax)
	}
	w.open('[')
	for i, item := range list {
		w.next()
		if err := w.value(item, depth+1); err != nil {
			return fmt.Errorf("[%d]: %w", i, err)
		}
	}
	w.close(']')
	return nil
}

// reflected writes the types that value does not name, by their kind.
func (w *writer) reflected(v reflect.Value, depth int) error {
	switch kind := v.Kind(); {
	case v.CanInt():
		w.out = strconv.AppendInt(w.out, v.Int(), 10)
	case v.CanUint():
		w.out = strconv.AppendUint(w.out, v.Uint(), 10)
	case kind == reflect.Float32:
		// The shortest text of the float32, not the longer one of the float64 of the same value.
		f, err := strconv.ParseFloat(strconv.FormatFloat(v.Float(), 'g', -1, 32), 64)
		w.float(f)
		return err
	case kind == reflect.Float64:
		w.float(v.Float())
	case kind == reflect.Bool:
		w.bool(v.Bool())
	case kind == reflect.String:
		w.text(v.String())
	case kind == reflect.Pointer && v.IsNil():
		w.word("null")
	case kind == reflect.Pointer && depth <= DepthMax:
		return w.value(v.Elem().Interface(), depth+1)
	case kind == reflect.Slice, kind == reflect.Array:
		return w.reflectedList(v, depth)
	case kind == reflect.Map && v.Type().Key().Kind() == reflect.String:
		return w.reflectedMap(v, depth)
	default:
		return fmt.Errorf("a %s has no JSON form", v.Type())
	}
	return nil
}

func (w *writer) reflectedList(v reflect.Value, depth int) error {
	list := make([]any, v.Len())
	for i := range list {
		list[i] = v.Index(i).Interface()
	}
	return writeList(w, list, depth)
}

func (w *writer) reflectedMap(v reflect.Value, depth int) error {
	object := make(map[string]any, v.Len())
	for entry := v.MapRange(); entry.Next(); {
		object[entry.Key().String()] = entry.Value().Interface()
	}
	return writeMap(w, object, depth)
}

// sortedKeys returns the keys of a map in order, for output that is the same each time.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// EncodeText returns text (WTF-8) as a JSON string in ASCII.
func EncodeText(text string) json.RawMessage { return appendQuoted(nil, text) }
