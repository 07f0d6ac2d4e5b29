package fault

import "strings"

// try stands between the message and the hint in an Error's text.
const try = " Try: "

// Cut takes the text of an Error apart, as it comes over the wire: the message,
// and what to type, which is empty if the Error had no hint.
func Cut(text string) (message, hint string) {
	if i := strings.LastIndex(text, try); i >= 0 {
		return text[:i], text[i+len(try):]
	}
	return text, ""
}
