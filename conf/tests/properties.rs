//! What holds for every input.

mod stage;

use herdgate_conf::{Node, Reading, Start, Tree, read_htaccess};
use proptest::prelude::*;
use stage::{Stage, outline, read_text};

/// Lines that look like a configuration, with what commonly goes wrong.
fn configuration() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        "[a-zA-Z/*.]{1,8}",
        "\"[a-z \\\\\"']{0,8}\"?",
        "'[a-z \\\\\"']{0,8}'?",
        "[\\\\<>#${}:!-]{1,4}",
        Just("${FROM_ENVIRONMENT}".to_string()),
        "[\\x00-\\x20é\u{feff}\u{a0}]{1,3}",
    ];
    let words = proptest::collection::vec(word, 0..4).prop_map(|words| words.join(" "));
    let name = prop_oneof![
        "[A-D]",
        Just("IfDefine".to_string()),
        Just("Define".to_string()),
        Just("Include".to_string()),
        "[\"A\\\\<>]{1,4}"
    ];
    let line = (name, words, 0..6_u8).prop_map(|(name, words, shape)| match shape {
        0 => format!("<{name} {words}>"),
        1 => format!("</{name}>"),
        2 => format!("{words} \\"),
        3 => format!("<{name}{words}"),
        _ => format!("  {name} {words}"),
    });
    proptest::collection::vec(line, 0..12).prop_map(|lines| lines.join("\n"))
}

fn check_spans(reading: &Reading) {
    for diagnostic in &reading.diagnostics {
        if let Some(span) = diagnostic.span {
            let line = reading.sources.line_of(span);
            assert!(line.start <= span.start && span.start <= span.end, "{diagnostic:?}");
            assert!(span.end <= line.end + 1, "{diagnostic:?}");
            assert!(!reading.sources.excerpt(span).contains('\n'), "{diagnostic:?}");
        }
        assert!(diagnostic.render(&reading.sources).ends_with('\n'));
    }
    check_nodes(&reading.tree.nodes, reading);
}

fn check_nodes(nodes: &[Node], reading: &Reading) {
    for node in nodes {
        let line = node.line();
        for word in line.words.iter().chain([&line.name]) {
            assert!(!reading.sources.excerpt(word.span).contains('\n'), "{word:?}");
            if word.quoted && word.raw_start > 0 {
                assert!(line.raw[word.raw_start..].starts_with(['"', '\'']), "{word:?}");
            }
        }
        check_nodes(node.children(), reading);
    }
}

/// A tree without spans.
fn shape(tree: &Tree) -> String {
    fn collect(nodes: &[Node], out: &mut String) {
        for node in nodes {
            let line = node.line();
            out.push_str(&format!("{:?} {:?}", line.name.text, line.raw));
            out.push_str(if matches!(node, Node::Section(_)) { "{" } else { ";" });
            collect(node.children(), out);
            out.push('}');
        }
    }
    let mut out = String::new();
    collect(&tree.nodes, &mut out);
    out
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let start = Start::default();
        check_spans(&read_htaccess("any", &bytes, start, &mut Stage::with_files(&[])));
    }

    #[test]
    fn configurations_never_panic_and_spans_stay_within_their_line(text in configuration()) {
        check_spans(&read_text(&text));
    }

    #[test]
    fn what_is_printed_reads_to_the_same_tree(text in configuration()) {
        let tree = read_text(&text).tree;
        let again = read_text(&tree.to_string()).tree;
        prop_assert_eq!(shape(&again), shape(&tree), "{}", tree);
        prop_assert_eq!(outline(&again), outline(&tree), "{}", tree);
    }

    #[test]
    fn line_ends_make_no_difference(text in configuration()) {
        let with_crlf = text.replace('\n', "\r\n");
        prop_assert_eq!(shape(&read_text(&with_crlf).tree), shape(&read_text(&text).tree));
    }
}
