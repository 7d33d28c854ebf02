//! Flags as kubectl takes them: booleans may say `=false`, and a mistake is told in kubectl's words
//! with its exit code. Must not know which flags there are.

use crate::cli::Cli;
use crate::cli::serve::EXIT_DID_NOT_START;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Command, CommandFactory, FromArgMatches};
use std::process::ExitCode;

/// The flags of every verb, whose values are words of their own.
const GLOBAL_FLAGS: [&str; 6] = [
    "-n",
    "--namespace",
    "--kubeconfig",
    "--context",
    "--cluster",
    "--user",
];
/// Exit code of a `diff` that was not made.
const EXIT_DIFF_FAILED: u8 = 2;

/// The command line of this process, or the exit code once it has been told what is wrong with it.
pub(super) fn parse() -> Result<Cli, ExitCode> {
    let command = tree(Cli::command());
    let parsed = command
        .clone()
        .try_get_matches()
        .and_then(|matches| Cli::from_arg_matches(&matches));
    parsed.map_err(|error| {
        let words: Vec<String> = std::env::args().skip(1).collect();
        let asked = matches!(
            error.kind(),
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
        );
        if asked || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
            // Where help cannot be written nobody reads it.
            let _ = error.print();
            return if asked || words.is_empty() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            };
        }
        // kubectl has no such verb, and no words for it; its exit code says that nothing ran.
        if words.first().is_some_and(|word| word == "serve") {
            let _ = error.print();
            return ExitCode::from(EXIT_DID_NOT_START);
        }
        eprintln!("{}", told(&error, &words));
        // 1 says that there are differences.
        if verb(&words).0 == "wkube diff" {
            return ExitCode::from(EXIT_DIFF_FAILED);
        }
        ExitCode::FAILURE
    })
}

/// Lets all booleans of a command and its subcommands take a value: `--watch=false`.
fn tree(command: Command) -> Command {
    command
        .mut_args(|arg| match arg.get_action() {
            ArgAction::SetTrue => boolean(arg),
            _ => arg,
        })
        .mut_subcommands(tree)
}

fn boolean(arg: Arg) -> Arg {
    arg.action(ArgAction::Set)
        .num_args(0..=1)
        .require_equals(true)
        .default_value("false")
        .default_missing_value("true")
        .hide_default_value(true)
        .hide_possible_values(true)
        .value_name("BOOL")
        .value_parser(|text: &str| match text {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
            _ => Err(format!(
                "strconv.ParseBool: parsing {text:?}: invalid syntax"
            )),
        })
}

/// A mistake in the words of kubectl's own parser, where it has words for it.
fn told(error: &clap::Error, words: &[String]) -> String {
    let context = |kind: ContextKind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.join(" "),
        _ => String::new(),
    };
    let argument = context(ContextKind::InvalidArg);
    // `--output <FORMAT>` is the flag with its value.
    let flag = argument.split([' ', '=', '[']).next().unwrap_or_default();
    let (verb, verb_names) = verb(words);
    let usage = format!("See '{verb} --help' for usage.");
    let examples = format!("See '{verb} -h' for help and examples");
    let what = match error.kind() {
        ErrorKind::UnknownArgument if flag.starts_with("--") => {
            format!("unknown flag: {flag}\n{usage}")
        }
        ErrorKind::UnknownArgument if flag.starts_with('-') => format!(
            "unknown shorthand flag: '{}' in {flag}\n{usage}",
            flag.trim_start_matches('-').chars().next().unwrap_or('-')
        ),
        ErrorKind::UnknownArgument => {
            let names = words.iter().skip(verb_names);
            let names = names.filter(|word| !word.starts_with('-')).count();
            format!("exactly one NAME is required, got {names}\n{examples}")
        }
        ErrorKind::MissingRequiredArgument if flag.starts_with("--") => {
            let name = flag.trim_start_matches('-');
            format!("required flag(s) {name:?} not set")
        }
        ErrorKind::MissingRequiredArgument if flag == "<NAME>" => {
            format!("exactly one NAME is required, got 0\n{examples}")
        }
        ErrorKind::InvalidValue if context(ContextKind::InvalidValue).is_empty() => {
            format!("flag needs an argument: {flag}\n{usage}")
        }
        ErrorKind::ValueValidation => {
            let value = context(ContextKind::InvalidValue);
            let why = std::error::Error::source(error).map(ToString::to_string);
            match why.unwrap_or_default().as_str() {
                why if why.starts_with("Invalid ") => why.to_owned(),
                "invalid digit found in string" => format!(
                    "invalid argument {value:?} for {flag:?} flag: strconv.ParseInt: parsing \
                     {value:?}: invalid syntax\n{usage}"
                ),
                why => format!("invalid argument {value:?} for {flag:?} flag: {why}\n{usage}"),
            }
        }
        ErrorKind::InvalidSubcommand if verb != "wkube" => format!(
            "Unexpected args: [{}]\n{examples}",
            context(ContextKind::InvalidSubcommand)
        ),
        ErrorKind::InvalidSubcommand => format!(
            "unknown command {:?} for \"wkube\"",
            context(ContextKind::InvalidSubcommand)
        ),
        _ => return error.to_string().trim_end().to_owned(),
    };
    format!("error: {what}")
}

/// The verb that the words begin with, by its full name, and how many of them are it.
fn verb(words: &[String]) -> (String, usize) {
    let mut command = Cli::command();
    let (mut name, mut count) = ("wkube".to_owned(), 0);
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        // Flags of every verb may stand before it.
        if word.starts_with('-') && name == "wkube" {
            count += 1;
            if GLOBAL_FLAGS.contains(&word.as_str()) {
                rest.next();
                count += 1;
            }
            continue;
        }
        let Some(next) = command.find_subcommand(word) else {
            break;
        };
        name.push(' ');
        name.push_str(next.get_name());
        count += 1;
        command = next.clone();
    }
    (name, count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Result<Cli, String> {
        let all = std::iter::once(&"wkube").chain(words);
        let matches = tree(Cli::command()).try_get_matches_from(all);
        let words: Vec<String> = words.iter().map(ToString::to_string).collect();
        matches
            .and_then(|matches| Cli::from_arg_matches(&matches))
            .map_err(|error| told(&error, &words))
    }

    #[test]
    fn flags_and_mistakes_as_kubectl_takes_them() {
        tree(Cli::command()).debug_assert();
        assert!(parsed(&["get", "pods", "-Aw", "--show-labels=false", "-oyaml"]).is_ok());
        let told = |words: &[&str]| parsed(words).err().unwrap_or_default();
        assert!(told(&["get", "--bogus"]).starts_with("error: unknown flag: --bogus\n"));
        assert!(told(&["get", "-Z"]).starts_with("error: unknown shorthand flag: 'Z' in -Z\n"));
        assert!(told(&["get", "--watch=x"]).contains("for \"--watch\" flag: strconv.ParseBool"));
        assert!(told(&["get", "pods", "-o"]).contains("flag needs an argument"));
        assert_eq!(
            told(&["create", "cm", "a", "b"]),
            "error: exactly one NAME is required, got 2\nSee 'wkube create configmap -h' for help \
             and examples"
        );
        assert!(told(&["create", "x"]).starts_with("error: Unexpected args: [x]\n"));
    }
}
