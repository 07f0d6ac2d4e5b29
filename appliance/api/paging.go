package api

import (
	"net/http"
	"strconv"

	"cloister/store"
)

// readPage reads ?after=&limit=&order=. A missing limit is def, and a page
// never holds more than most. The newest come first unless order is "asc".
func readPage(r *http.Request, def, most int) (store.Page, error) {
	q := r.URL.Query()
	out := store.Page{After: q.Get("after"), Limit: def}
	switch order := q.Get("order"); order {
	case "", "desc":
	case "asc":
		out.Ascending = true
	default:
		return out, invalid("order", "Invalid value for 'order': supported values are 'asc' and 'desc'.")
	}
	if text := q.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			return out, invalid("limit", "Invalid type for 'limit': expected an integer.")
		}
		if n < 1 {
			return out, invalid("limit", "Invalid 'limit': expected a value >= 1, but got %d instead.", n)
		}
		out.Limit = min(n, most) // has_more tells the client to go on
	}
	return out, nil
}

// cut returns the page of a complete list that begins after the id p.After,
// and whether more follows. An id that is not in the list is a 404: a client
// that was sent to the first page again would never end.
func cut[T any](all []T, p store.Page, id func(T) string) (data []T, more bool, err error) {
	if p.After != "" {
		i := 0
		for i < len(all) && id(all[i]) != p.After {
			i++
		}
		if i == len(all) {
			return nil, false, unknownCursor(p.After)
		}
		all = all[i+1:]
	}
	if len(all) > p.Limit {
		return all[:p.Limit], true, nil
	}
	return all, false, nil
}

// unknownCursor is the failure of a list that should begin after an id that is not in it.
func unknownCursor(after string) error {
	f := notFound("object", after)
	f.param = "after"
	return f
}
