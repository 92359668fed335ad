//! What can be wrong with an S-expression as such.

/// What is wrong with the syntax of a text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SyntaxProblem {
    /// There is nothing but white space and comments.
    #[error("the text is empty: expected one S-expression")]
    Empty,
    /// There is something after the S-expression.
    #[error("more than one S-expression: expected the end of the text after the first")]
    MoreThanOne,
    /// A `(` without its `)`.
    #[error("unclosed list: expected a `)` for this `(`, found the end of the text")]
    UnclosedList,
    /// A `)` without its `(`.
    #[error("unexpected `)`: there is no `(` that it could close")]
    UnexpectedClose,
    /// A `"` without its end.
    #[error("unterminated string: expected a `\"` that ends it, found the end of the text")]
    UnterminatedString,
    /// A `#|` without its `|#`.
    #[error("unterminated comment: expected a `|#` for this `#|`, found the end of the text")]
    UnterminatedComment,
    /// A `|#` without its `#|`.
    #[error("unexpected `|#`: there is no comment that it could end")]
    UnexpectedCommentEnd,
    /// A `#;` with nothing after it.
    #[error("`#;` with nothing to comment out: expected a word or a list after it")]
    NothingCommentedOut,
    /// `#|` or `|#` inside a bare word.
    #[error("comment tokens in unquoted atom: a word with `#|` or `|#` in it has to be in quotes")]
    CommentInAtom,
    /// A carriage return that is not part of a line's end.
    #[error("unexpected character after carriage return: expected a newline")]
    BareCarriageReturn,
    /// `\ddd` above 255.
    #[error("escape sequence in quoted string out of range: \\{0} is above \\255")]
    EscapeOutOfRange(u16),
    /// `\d` or `\dd` without a third digit.
    #[error("incomplete escape sequence: expected three decimal digits after `\\`")]
    IncompleteDecimal,
    /// `\x` without two digits.
    #[error("incomplete escape sequence: expected two hexadecimal digits after `\\x`")]
    IncompleteHexadecimal,
    /// Lists within lists within lists.
    #[error("lists are nested more than {0} deep: that is more than any spec needs")]
    TooDeep(usize),
}
