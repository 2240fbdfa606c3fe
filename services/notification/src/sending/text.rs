//! Plain text made from sanitised HTML, for those who read e-mails without it.

/// The text of HTML as the sanitiser writes it: tags that are complete, and every `<` and `&` of text escaped.
pub(crate) fn of_html(html: &str) -> String {
    let mut text = String::with_capacity(html.len());
    let mut link: Option<String> = None;
    let mut rest = html;
    while let Some(start) = rest.find('<') {
        add_text(&mut text, &rest[..start]);
        let Some(end) = tag_end(&rest[start..]) else { break };
        let tag = &rest[start + 1..start + end];
        rest = &rest[start + end + 1..];
        let closing = tag.starts_with('/');
        let name = tag.trim_start_matches('/').split([' ', '/', '\t', '\n']).next().unwrap_or_default();
        match name {
            "br" => text.push('\n'),
            "li" if !closing => {
                line(&mut text);
                text.push_str("- ");
            }
            "td" | "th" if closing => text.push('\t'),
            "hr" => {
                line(&mut text);
                text.push_str("----\n");
            }
            "p" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "ul" | "ol" | "dl" | "table" | "blockquote" | "pre" => {
                line(&mut text);
                if closing {
                    text.push('\n');
                }
            }
            "div" | "li" | "tr" | "dt" | "dd" | "caption" => line(&mut text),
            "a" if closing => {
                if let Some(address) = link.take() {
                    add_address(&mut text, &address);
                }
            }
            "a" => link = attribute(tag, "href"),
            _ => {}
        }
    }
    add_text(&mut text, rest);
    tidy(&text)
}

/// Where the tag at the beginning of the text ends; a `>` in an attribute does not end it.
fn tag_end(text: &str) -> Option<usize> {
    let mut quoted = false;
    text.char_indices().find_map(|(index, c)| match c {
        '"' => {
            quoted = !quoted;
            None
        }
        '>' if !quoted => Some(index),
        _ => None,
    })
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    Some(unescape(rest.split('"').next()?))
}

/// Begins a new line unless at the beginning of one.
fn line(text: &mut String) {
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
}

fn add_text(text: &mut String, html: &str) {
    for (index, word) in unescape(html).split([' ', '\n', '\t', '\r']).enumerate() {
        // White space of HTML is one space, and none at the beginning of a line.
        if index > 0 && !text.is_empty() && !text.ends_with([' ', '\n', '\t']) {
            text.push(' ');
        }
        text.push_str(word);
    }
}

fn add_address(text: &mut String, address: &str) {
    let shown = address.strip_prefix("mailto:").unwrap_or(address);
    if !text.trim_end().ends_with(shown) {
        text.push_str(" (");
        text.push_str(shown);
        text.push(')');
    }
}

fn unescape(html: &str) -> String {
    html.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&nbsp;", "\u{a0}")
        .replace("&amp;", "&")
}

/// No spaces at the ends of lines, no more than one empty line in a row.
fn tidy(text: &str) -> String {
    let mut tidied = String::with_capacity(text.len());
    let mut empty = 0;
    for line in text.trim().lines().map(str::trim_end) {
        empty = if line.is_empty() { empty + 1 } else { 0 };
        if empty < 2 {
            tidied.push_str(line);
            tidied.push('\n');
        }
    }
    tidied
}

#[cfg(test)]
mod tests {
    use concierge_runtime::html::sanitize;

    use super::of_html;

    #[test]
    fn keeps_lines_lists_and_links() {
        let html = sanitize(
            "<h1>Ticket 7</h1>\n<p>Hello   <b>Ann</b>,<br>5 &lt; 6 &amp; more.</p><ul><li>one</li><li>two</li></ul>\
             <p>See <a href=\"https://example.com/7?a=1&amp;b=2\">the ticket</a> or \
             <a href=\"mailto:desk@example.com\">desk@example.com</a>.</p>",
        );
        assert_eq!(
            of_html(&html),
            "Ticket 7\n\nHello Ann,\n5 < 6 & more.\n\n- one\n- two\n\nSee the ticket \
             (https://example.com/7?a=1&b=2) or desk@example.com.\n"
        );
    }

    #[test]
    fn ends_on_anything_without_looking_for_a_tag_that_never_ends() {
        for odd in ["", "<", "<a href=\"", "a < b", "<<<>>>", "&amp;lt;", "\u{0}<br"] {
            let _ = of_html(odd);
        }
        assert_eq!(of_html("&amp;lt;"), "&lt;\n");
    }
}
