//! What a token says comes out as it went in, and only that.

use super::*;
use proptest::prelude::*;

fn claims() -> Claims {
    let reference = |name: &str| Reference {
        name: name.to_owned(),
        uid: format!("{name}-uid"),
    };
    Claims {
        id: "id".to_owned(),
        audiences: vec![ISSUER.to_owned()],
        times: Some((1, 2)),
        namespace: "default".to_owned(),
        account: reference("robot"),
        pod: Some(reference("p")),
        node: Some(reference("n")),
        secret: None,
    }
}

fn tokens() -> &'static AccountTokens {
    static TOKENS: std::sync::OnceLock<AccountTokens> = std::sync::OnceLock::new();
    TOKENS.get_or_init(|| AccountTokens::ephemeral("https://test").unwrap())
}

fn good() -> &'static str {
    static GOOD: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    GOOD.get_or_init(|| tokens().sign(&claims()).unwrap())
}

#[test]
fn what_is_signed_is_read_again() {
    assert_eq!(tokens().read(good()), Some(Ok(claims())));
    let kept = tokens().kept("d", "s", ("a", "1")).unwrap();
    let read = tokens().read(&kept).unwrap().unwrap();
    assert_eq!(read.subject(), "system:serviceaccount:d:a");
    assert_eq!(
        (read.times, read.secret.unwrap().name),
        (None, "s".to_owned())
    );
}

#[test]
fn the_subject_is_the_account() {
    let mut payload = claims().to_payload(ISSUER);
    payload["sub"] = json!("system:serviceaccount:kube-system:robot");
    let read = Claims::of_payload(payload.to_string().as_bytes(), ISSUER);
    assert!(matches!(read, Some(Err(_))), "{read:?}");
}

proptest! {
    /// Whatever is shown: nothing but the token itself is believed.
    #[test]
    fn nothing_else_is_believed(text in "[A-Za-z0-9_=.-]{0,200}") {
        prop_assert!(!matches!(tokens().read(&text), Some(Ok(_))));
    }

    #[test]
    fn no_changed_token_is_believed(at in 0_usize..1000, with in "[A-Za-z0-9_.-]") {
        let good = good();
        let at = at % good.len();
        let changed = format!("{}{with}{}", &good[..at], &good[at + 1..]);
        prop_assume!(changed != good);
        prop_assert!(!matches!(tokens().read(&changed), Some(Ok(_))));
    }
}
