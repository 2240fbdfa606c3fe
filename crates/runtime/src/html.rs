//! HTML that people write and others are shown: what may stay of it.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use ammonia::Builder;

static ALLOWED: LazyLock<Builder<'static>> = LazyLock::new(|| {
    let mut allowed = Builder::empty();
    allowed
        .tags(HashSet::from([
            "a",
            "abbr",
            "b",
            "blockquote",
            "br",
            "caption",
            "code",
            "dd",
            "del",
            "div",
            "dl",
            "dt",
            "em",
            "h1",
            "h2",
            "h3",
            "h4",
            "h5",
            "h6",
            "hr",
            "i",
            "ins",
            "kbd",
            "li",
            "mark",
            "ol",
            "p",
            "pre",
            "q",
            "s",
            "small",
            "span",
            "strong",
            "sub",
            "sup",
            "table",
            "tbody",
            "td",
            "tfoot",
            "th",
            "thead",
            "tr",
            "u",
            "ul",
        ]))
        // What these contain is no text for people.
        .clean_content_tags(HashSet::from(["script", "style", "title", "textarea", "noscript", "template"]))
        .tag_attributes(HashMap::from([
            ("a", HashSet::from(["href"])),
            ("ol", HashSet::from(["start"])),
            ("td", HashSet::from(["colspan", "rowspan"])),
            ("th", HashSet::from(["colspan", "rowspan"])),
        ]))
        .generic_attributes(HashSet::from(["title", "lang", "dir"]))
        .url_schemes(HashSet::from(["https", "mailto"]))
        .url_relative(ammonia::UrlRelative::Deny)
        .link_rel(Some("noopener noreferrer nofollow"));
    allowed
});

/// HTML without anything that acts, looks like ours or tells others that it was read: no style, script, form or image;
/// links are https or mailto. What is sanitised already stays as it is.
pub fn sanitize(html: &str) -> String {
    if html.is_empty() { String::new() } else { ALLOWED.clean(html).to_string() }
}

/// As [`ALLOWED`], but no tags: what is left is what people read.
static TEXT: LazyLock<Builder<'static>> = LazyLock::new(|| {
    let mut text = Builder::empty();
    text.clean_content_tags(HashSet::from(["script", "style", "title", "textarea", "noscript", "template"]));
    text
});

/// True for HTML in which there is nothing to read: no text, or only spaces, line breaks and characters that nobody
/// sees. A line (`<hr>`) is no text.
pub fn shows_nothing(html: &str) -> bool {
    // The cleaner writes no-break spaces as an entity, and nothing else that is not seen.
    html.is_empty() || TEXT.clean(html).to_string().replace("&nbsp;", "").chars().all(is_invisible)
}

/// White space, what programs but not people see, and what Unicode has shown as nothing by default
/// (`Default_Ignorable_Code_Point`), with the marks of annotations and the empty cell of braille.
fn is_invisible(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::{sanitize, shows_nothing};

    #[test]
    fn knows_what_shows_nothing() {
        for nothing in [
            "",
            " \n\t",
            "&nbsp;",
            "\u{a0}",
            "<br>",
            "<p></p>",
            "<hr>",
            "\u{200b}",
            "&#8203;&zwnj;&shy;",
            "<p><b>\u{feff}\u{2060}</b><br>&nbsp;</p>",
            "<table><tr><td>\u{3164}</td></tr></table>",
            "<a href=\"https://example.com\" title=\"x\"></a>",
            "<script>x()</script><style>p{}</style><!-- x -->",
            "<img src=\"https://example.com/x.png\" alt=\"x\">",
        ] {
            assert!(shows_nothing(nothing) && shows_nothing(&sanitize(nothing)), "{nothing:?}");
        }
        for something in
            ["x", "<p>&nbsp;.</p>", "&amp;nbsp;", "&lt;br&gt;", "5 < 6", "中", "\u{1f600}", "<b>\u{200b}x</b>"]
        {
            assert!(!shows_nothing(something) && !shows_nothing(&sanitize(something)), "{something:?}");
        }
    }

    #[test]
    fn takes_out_what_acts_and_keeps_what_is_read() {
        let html = "<p onclick=\"x()\" style=\"color:red\" class=\"c\">Call <b>Ann</b><script>x()</script></p>\
                    <style>p{}</style><form><input name=\"q\">ask</form><img src=\"https://example.com/seen.png\">\
                    <iframe src=\"https://example.com\"></iframe><svg><a href=\"https://example.com\">x</a></svg>";
        let clean = sanitize(html);
        assert!(clean.starts_with("<p>Call <b>Ann</b></p>ask"), "{clean}");
        for gone in ["script", "style", "onclick", "class", "form", "input", "img", "iframe", "svg"] {
            assert!(!clean.contains(gone), "{gone} is still in {clean}");
        }
    }

    #[test]
    fn keeps_links_to_https_and_mailto_only() {
        for kept in ["https://example.com/a?b=c", "mailto:ann@example.com"] {
            assert!(sanitize(&format!("<a href=\"{kept}\">x</a>")).contains(kept), "{kept}");
        }
        for gone in
            ["http://example.com", "javascript:x()", "JaVaScRiPt:x()", "data:text/html,x", "/relative", "//host"]
        {
            let clean = sanitize(&format!("<a href=\"{gone}\">x</a>"));
            assert!(!clean.contains("href"), "{clean}");
        }
    }

    #[test]
    fn what_is_clean_stays_as_it_is() {
        let clean = sanitize("<p>a &amp; b <a href=\"https://example.com\">c</a><br>5 < 6</p><table><tr><td>1</table>");
        assert_eq!(sanitize(&clean), clean);
        assert_eq!(sanitize(""), "");
    }
}
