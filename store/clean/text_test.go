package clean_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"cloister/store/clean"
	"cloister/store/ingest"
)

// cleaned returns a text as an answer comes out of Clean.
func cleaned(t testing.TB, text string, o clean.Options) string {
	t.Helper()
	o.KeepEmpty = true
	out, _ := clean.Clean([]ingest.Record{{Row: 1, Question: "q", Answer: text}}, o)
	if len(out) != 1 {
		t.Fatalf("%q: %d records", text, len(out))
	}
	return out[0].Answer
}

func TestHTML(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"entities", "R&amp;D &lt;3 &quot;a&quot; &#39;b&#x27; 5&nbsp;mg &copy;", "R&D <3 \"a\" 'b' 5 mg ©"},
		{"no entities", "AT&T, Q&A, a&b;, x &y; z, &notit; ?a=1&copy=2&", "AT&T, Q&A, a&b;, x &y; z, &notit; ?a=1&copy=2&"},
		{"escaped twice", "a &amp;amp; b &amp;nbsp; c", "a & b c"},
		{"escaped tags", "&lt;p&gt;one&lt;/p&gt;&lt;p&gt;two&lt;/p&gt;", "one\n\ntwo"},
		{"inline", "the <b>bold</b> and <span style=\"color:red\">red</span> w<i>or</i>d", "the bold and red word"},
		{"br", "a<br>b<BR/>c<br />d", "a\nb\nc\nd"},
		{"paragraphs", "<p>one</p>\n<p>two\nlines</p>", "one\n\ntwo lines"},
		{"headings", "<h2>Hours</h2>Monday to Friday", "Hours\n\nMonday to Friday"},
		{"list", "Bring:<ul>\n <li>ID</li>\n <li><p>card</p></li></ul>Thanks", "Bring:\n- ID\n- card\n\nThanks"},
		{"blocks in a list", "<ul><li><div>a</div></li><li><p>b</p></li></ul>", "- a\n- b"},
		{"numbered", "<ol><li>a<li>b</ol>", "1. a\n2. b"},
		{"nested", "<ul><li>a<ul><li>b</li></ul></li><li>c</li></ul>", "- a\n- b\n- c"},
		{"table", "<table><tr><th>Day</th><th>Open</th></tr><tr><td><p>Mon</p></td><td>8</td></tr></table>", "Day | Open\nMon | 8"},
		{"div", "<div>a</div><div>b</div>", "a\nb"},
		{"script", "a<script>if (x<y) { alert('<b>') }</script>b<style>p{}</style>", "ab"},
		{"script in capitals", "a<SCRIPT src=x>..</SCRIPT >b", "ab"},
		{"comment", "a<!-- <b>x</b> -->b", "ab"},
		{"doctype and head", "<!DOCTYPE html><html><head><title>t</title></head><body>x</body></html>", "tx"},
		{"link", `see <a href="https://a.example/x">the page</a>`, "see the page (https://a.example/x)"},
		{"link that is its text", `<a href="https://a.example/">https://a.example/</a>, <a href="mailto:x@a.example">x@a.example</a>, <a href="#top">up</a>`,
			"https://a.example/, x@a.example, up"},
		{"image", `<img src="a.png" alt="map"> here`, "map here"},
		{"pre", "Run:<pre>  if x:\n    y &lt; 2</pre>done", "Run:\n\n```\n  if x:\n    y < 2\n```\n\ndone"},
		{"pre in a page", "<p>Run\nthis:</p><pre>a\nb</pre>", "Run this:\n\n```\na\nb\n```"},
		{"inequality", "a < b", "a < b"},
		{"tight inequality", "if x<y and z>3 then x<b or c>d", "if x<y and z>3 then x<b or c>d"},
		{"open at the end", "what is <b", "what is <b"},
		{"arrows and hearts", "a <- b, <3, </3, <>, < >, <!", "a <- b, <3, </3, <>, < >, <!"},
		{"mask tokens", "<PERSON_1> called <PHONE_22> back", "<PERSON_1> called <PHONE_22> back"},
		{"addresses", "Ana <ana@mail.example> and <https://a.example>", "Ana <ana@mail.example> and <https://a.example>"},
		{"placeholders", "your <name> here, <insert date>", "your <name> here, <insert date>"},
		{"code spans stay", "write `<br>` or ``a`<b>`` for a break<br>x", "write `<br>` or ``a`<b>`` for a break\nx"},
		{"fences stay", "```html\n<p>a &amp; b</p>\n```", "```html\n<p>a &amp; b</p>\n```"},
		{"apostrophe by back-quote", "it`s <b>here</b>, isn`t it", "it`s here, isn`t it"},
		{"script without end", "the <script> tag and <b>more</b>", "the <script> tag and more"},
		{"stray ends", "a</p>b</b>c</foo>", "a\n\nbc</foo>"},
		{"Korean", "<p>진료&nbsp;시간은 <b>9시</b>부터</p>입니다", "진료 시간은 9시부터\n\n입니다"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := cleaned(t, tt.in, clean.Options{}); got != tt.want {
				t.Errorf("%q\ngot  %q\nwant %q", tt.in, got, tt.want)
			}
		})
	}
}

func TestSpace(t *testing.T) {
	long := "This sentence was typed into a window that was only sixty columns"
	for _, tt := range []struct{ name, in, want string }{
		{"runs", "  a \t b\u00A0\u3000c  ", "a b c"},
		{"paragraphs", "a.\r\n\r\n\r\n b.", "a.\n\nb."},
		{"list", "Bring:\n- ID\n* card\n1. form\n2) pen\n① a\n가. b", "Bring:\n- ID\n* card\n1. form\n2) pen\n① a\n가. b"},
		{"list after a long line", long + "\n- wide", long + "\n- wide"},
		{"hours", "Monday: 8 to 5\nTuesday: 9 to 6", "Monday: 8 to 5\nTuesday: 9 to 6"},
		{"address", "14 Tannery Row\nBrackenfold", "14 Tannery Row\nBrackenfold"},
		{"small letters after a figure", "monday 8-5\ntuesday 9-6", "monday 8-5\ntuesday 9-6"},
		{"wrapped", long + "\nwide, so it goes on here.", long + " wide, so it goes on here."},
		{"wrapped at a capital", long + "\nMonday.", long + " Monday."},
		{"sentence a line", "We open at eight.\nParking is free.", "We open at eight.\nParking is free."},
		{"small letter", "when is the lab\nopen today", "when is the lab open today"},
		{"comma", "Hi,\nwhen do you open?", "Hi, when do you open?"},
		{"Korean sentences", "진료 시간은 오전 아홉 시부터 오후 여섯 시까지이며 점심시간에는 쉽니다\n주차는 무료입니다", "진료 시간은 오전 아홉 시부터 오후 여섯 시까지이며 점심시간에는 쉽니다\n주차는 무료입니다"},
		{"Korean wrapped", "진료 시간은 오전 아홉 시부터 오후 여섯 시까지이며 점심시간에는 쉬고 토요일은\n오전만 합니다", "진료 시간은 오전 아홉 시부터 오후 여섯 시까지이며 점심시간에는 쉬고 토요일은 오전만 합니다"},
		{"code", "Try:\n```\nif x:\n    y  =  1\n\n\n    z\n```\n  done", "Try:\n```\nif x:\n    y  =  1\n\n\n    z\n```\ndone"},
		{"only space", " \n\t ", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := cleaned(t, tt.in, clean.Options{}); got != tt.want {
				t.Errorf("%q\ngot  %q\nwant %q", tt.in, got, tt.want)
			}
		})
	}
}

func TestCharacters(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"NFC", norm.NFD.String("café 병원"), "café 병원"},
		{"invisible", "a\u200Bb\uFEFFc\u00ADd\u202Ee\u2060f\U000E0041g\u3164h", "abcdefgh"},
		{"control", "a\x00b\x1bc\x7fd\u0085e", "abcde"},
		{"tabs and line ends are white space", "a\tb\nC", "a b\nC"},
		{"joined emoji", "👩\u200D⚕️ ok\u200D", "👩\u200D⚕️ ok"},
		{"Persian", "می\u200Cخواهم", "می\u200Cخواهم"},
		{"invisible by entity", "a&#8203;b", "ab"},
		{"full width stays", "１２３", "１２３"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := cleaned(t, tt.in, clean.Options{}); got != tt.want {
				t.Errorf("%q\ngot  %q\nwant %q", tt.in, got, tt.want)
			}
		})
	}
}

func TestStepsCanBeTurnedOff(t *testing.T) {
	const in = "<b>a</b>  b\u200B<br>c"
	for _, tt := range []struct {
		o    clean.Options
		want string
	}{
		{clean.Options{}, "a b\nc"},
		{clean.Options{KeepHTML: true}, "<b>a</b> b<br>c"},
		{clean.Options{KeepSpace: true}, "a  b\nc"},
		{clean.Options{KeepCharacters: true}, "a b\u200B\nc"},
		{clean.Options{KeepCharacters: true, KeepHTML: true, KeepSpace: true}, in},
	} {
		if got := cleaned(t, in, tt.o); got != tt.want {
			t.Errorf("%+v: got %q, want %q", tt.o, got, tt.want)
		}
	}
}

// TestHostileTextIsLinear has texts on which a careless cleaner takes minutes.
func TestHostileTextIsLinear(t *testing.T) {
	const n = 200_000
	for _, unit := range []string{"<script>", "<a", "<a href=x>", "</", "<ul><li>", "&", "&amp;", "`", "` ", "``` ", "```\n", "\n", " ", "<!--", "<td>", "\u200B", "ㄱ", "<pre>"} {
		cleaned(t, strings.Repeat(unit, n/len(unit)), clean.Options{})
	}
}

func FuzzText(f *testing.F) {
	for _, s := range []string{
		"<p>a</p>", "a < b", "&amp;lt;b&amp;gt;", "```\n<b>\n```", "`x`<br>`", "<pre>a\n\n```</pre>", "<script>x", "a\u2028b\u2029c",
		"<ul><li>a", "\xff<", "<table><td>a<td>b", "if x<y", "a\u200D\u200Bb", "<!---->", "<a href='http://x'></a>", "- a\nb\n c", "&#x200B;&#0;",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		once := cleaned(t, s, clean.Options{})
		if !utf8.ValidString(once) || !norm.NFC.IsNormalString(once) {
			t.Fatalf("%q is not NFC", once)
		}
		if strings.ContainsAny(once, "\r\u2028\u2029\u200B\x00") || once != strings.TrimSpace(once) && !strings.Contains(once, "```") {
			t.Fatalf("%q is not clean", once)
		}
		twice := cleaned(t, once, clean.Options{})
		if strings.ContainsAny(s, "<&\u2028\u2029") { // breaks by markup may be joined
			once, twice = strings.Join(strings.Fields(once), " "), strings.Join(strings.Fields(twice), " ")
		}
		if twice != once {
			t.Fatalf("cleaning again changes\n%q to\n%q", once, twice)
		}
	})
}
