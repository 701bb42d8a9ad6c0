//! Every page's texts are complete in both languages: the same keys, each of them used, every used key present, and a text for every
//! refusal.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use fenqi::credit::{ApplyRefusal, OwnReason};
use fenqi::error::Refusal;
use fenqi::page::Language;
use fenqi::purchase::PurchaseRefusal;
use fenqi::purchase::model::{AfterSaleRefusal, RequestRefusal};
use fenqi::repayment::actions::RepayRefusal;

/// Keys whose ends are codes that only the program knows; `say_of` puts them together.
const KINDS: &[&str] = &[
    "error-",
    "refusal-",
    "problem-",
    "field-",
    "hint-",
    "agreement-",
    "reason-",
    "notice-",
    "message-see-",
    "line-entry-",
    "wechat-kind-",
    "method-",
    "part-",
    "state-",
    "loan-state-",
    "version-",
    "event-",
    "account-",
    "payoff-rule-",
    "device-",
    "paid-by-",
    "order-asked-",
    "order-is-",
    "order-what-",
    "failure-",
    "purpose-",
    "role-",
    "category-",
    "sell-state-",
    "sell-waits-",
    "receipt-is-",
    "receipt-said-",
    "merchant-notice-",
    "sale-state-",
    "settle-state-",
    "settle-figure-what-",
];
const LANGUAGES: [&str; 2] = ["zh-CN", "en"];

fn files(folder: &str, ending: &str) -> BTreeMap<String, String> {
    fn collect(folder: &Path, ending: &str, found: &mut BTreeMap<String, String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, ending, found);
            } else if path.to_str().unwrap().ends_with(ending) {
                found.insert(path.to_str().unwrap().to_owned(), std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    let mut found = BTreeMap::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), ending, &mut found);
    found
}

/// Each key of a language with the arguments that its words take.
fn keys(language: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for text in files(&format!("web/locales/{language}"), ".ftl").values() {
        let mut key = String::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            if line.starts_with(|letter: char| letter.is_ascii_lowercase()) {
                line.split(" =").next().unwrap().clone_into(&mut key);
                assert!(found.insert(key.clone(), BTreeSet::new()).is_none(), "{key} stands twice in {language}");
            }
            for argument in line.split('$').skip(1) {
                let name =
                    argument.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').next().unwrap();
                found.get_mut(&key).unwrap().insert(name.to_owned());
            }
        }
    }
    found
}

fn sources() -> String {
    let rust = files("src", ".rs").into_values().map(|text| text.split("#[cfg(test)]").next().unwrap().to_owned());
    files("web/templates", ".html").into_values().chain(rust).collect::<Vec<_>>().join("\n")
}

/// The texts between quotes after an opening.
fn literals(text: &str, opening: &str) -> BTreeSet<String> {
    text.split(opening).skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect()
}

#[test]
fn both_languages_have_the_same_keys_with_the_same_arguments() {
    let [chinese, english] = LANGUAGES.map(keys);
    let differing: Vec<&String> =
        chinese.keys().chain(english.keys()).filter(|key| chinese.get(*key) != english.get(*key)).collect();
    assert!(differing.is_empty(), "these differ between zh-CN and en: {differing:?}");
    let names = |language: &str| -> BTreeSet<String> {
        let found = files(&format!("web/locales/{language}"), ".ftl");
        found.keys().map(|path| path.rsplit('/').next().unwrap().to_owned()).collect()
    };
    assert_eq!(names("zh-CN"), names("en"));
}

#[test]
fn every_key_is_used_and_every_key_that_is_used_has_words() {
    let [chinese, _] = LANGUAGES.map(keys);
    let sources = sources();
    let is_of_a_kind = |key: &str| KINDS.iter().any(|kind| key.starts_with(kind));
    let unused: Vec<&String> =
        chinese.keys().filter(|key| !is_of_a_kind(key) && !sources.contains(&format!("\"{key}\""))).collect();
    assert!(unused.is_empty(), "no template and no handler says {unused:?}");
    let mut said = literals(&sources, ".say(\"");
    let flashed = literals(&sources, ".flash(\"");
    assert!(said.len() > 400 && flashed.len() > 10, "{} are said, {} are flashed", said.len(), flashed.len());
    said.extend(flashed);
    let missing: Vec<&String> = said.iter().filter(|key| !chinese.contains_key(*key)).collect();
    assert!(missing.is_empty(), "there are no words under {missing:?}");
}

#[test]
fn every_field_has_its_label_and_its_hint() {
    let [chinese, _] = LANGUAGES.map(keys);
    let (mut missing, mut labels) = (Vec::new(), 0);
    for text in files("web/templates", ".html").values() {
        for call in ["text", "tick", "pin"].map(|part| format!("form_parts::{part}(page, form, \"")) {
            for rest in text.split(&call).skip(1) {
                labels += 1;
                let name = rest.split('"').next().unwrap();
                let has_hint = rest.split("%}").next().unwrap().contains("hint=true");
                missing.extend([format!("field-{name}")].into_iter().filter(|key| !chinese.contains_key(key)));
                missing
                    .extend([format!("hint-{name}")].into_iter().filter(|key| has_hint && !chinese.contains_key(key)));
            }
        }
    }
    assert!(missing.is_empty(), "there are no words under {missing:?}");
    assert!(labels > 20, "only {labels} fields were looked at");
}

/// Where the refusals stand that borrowers and merchants meet on pages; partners and operators read codes.
const WITH_WORDS: [&str; 10] = [
    "src/base/person.rs",
    "src/passcode/",
    "src/borrower/",
    "src/credit/model.rs",
    "src/merchant/model.rs",
    "src/merchant/code.rs",
    "src/merchant/staff.rs",
    "src/product/quote.rs",
    "src/purchase/",
    "src/repayment/actions.rs",
];

/// The codes that `fn code` of a refusal or of a parse error gives, with the file that says so.
fn codes() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let files = files("src", ".rs").into_iter();
    for (path, text) in files.filter(|(path, _)| WITH_WORDS.iter().any(|folder| path.contains(folder))) {
        let text = text.split("#[cfg(test)]").next().unwrap();
        for body in text.split("fn code(").skip(1) {
            let body = body.split("\n    }\n").next().unwrap();
            found.extend(literals(body, "=> \"").into_iter().map(|code| (code, path.clone())));
        }
    }
    for place in WITH_WORDS {
        assert!(found.values().any(|path| path.contains(place)), "{place} gives no code");
    }
    found
}

#[test]
fn every_code_that_a_person_may_meet_has_words() {
    let [chinese, _] = LANGUAGES.map(keys);
    let says = |kind: &str, code: &str| chinese.contains_key(&format!("{kind}-{code}"));
    let missing: Vec<(String, String)> = codes()
        .into_iter()
        .filter(|(code, path)| {
            let kind = if path.ends_with("base/person.rs") { "error" } else { "refusal" };
            !says(kind, code)
        })
        .collect();
    assert!(missing.is_empty(), "no page has words for {missing:#?}");
}

/// What a person is told under a key, in full: words, and not the code again.
fn told(language: Language, key: &str) -> String {
    assert!(language.knows(key), "there are no words under {key} in {}", language.tag());
    let told = language.say(key).to_string();
    let (_, code) = key.split_once('-').unwrap();
    assert!(told != key && told != code && !told.contains('{'), "{key} in {}: {told}", language.tag());
    told
}

/// How a sentence begins in English that says what to do, or that there is nothing to do.
const ENGLISH_ASKS: [&str; 18] = [
    "Ask ", "Bind ", "Choose ", "Go on ", "If ", "Look ", "Lower ", "Make ", "Nothing ", "Open ", "Please ", "Raise ",
    "Refund ", "Scan ", "Try ", "Type ", "Undo ", "Wait ",
];

/// Whether words go on, after the reason, with a sentence that says what to do, or that there is nothing to do.
fn says_what_to_do(language: Language, told: &str) -> bool {
    let rest = |end: &str| told.split_once(end).map_or("", |(_, rest)| rest);
    match language {
        Language::Chinese => ["请", "可以", "无需"].iter().any(|ask| rest("。").contains(ask)),
        Language::English => ENGLISH_ASKS.iter().any(|ask| rest(". ").starts_with(ask)),
    }
}

/// The codes in the source of a refusal.
fn codes_of(path: &str, refusal: &str) -> BTreeSet<String> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    let (_, after) = text.split_once(&format!("impl Refusal for {refusal} {{")).unwrap();
    literals(after.split("\n}\n").next().unwrap(), "=> \"")
}

#[test]
fn every_refusal_of_a_purchase_an_application_a_refund_or_a_repayment_is_told_in_both_languages() {
    fn all<R: Refusal>(refusals: &[R]) -> Vec<&'static str> {
        refusals.iter().map(R::code).collect()
    }
    let of_purchases = ("src/purchase/model.rs", "PurchaseRefusal", all(&PurchaseRefusal::ALL));
    let of_requests = ("src/purchase/model.rs", "RequestRefusal", all(&RequestRefusal::ALL));
    let after_sale = ("src/purchase/model.rs", "AfterSaleRefusal", all(&AfterSaleRefusal::ALL));
    let of_repayments = ("src/repayment/actions.rs", "RepayRefusal", all(&RepayRefusal::ALL));
    // Some of these are for funders and operators, who know what they have sent; borrowers read the reason.
    let of_applications = ("src/credit/model.rs", "ApplyRefusal", all(&ApplyRefusal::ALL));
    let families = [of_purchases, of_requests, after_sale, of_repayments, of_applications];
    let mut idle = Vec::new();
    for (path, refusal, codes) in &families {
        let listed: BTreeSet<String> = codes.iter().map(|code| (*code).to_owned()).collect();
        assert_eq!(listed, codes_of(path, refusal), "{refusal}::ALL holds each of its variants");
        for (code, language) in codes.iter().flat_map(|code| Language::ALL.map(|language| (code, language))) {
            let told = told(language, &format!("refusal-{code}"));
            if *refusal != "ApplyRefusal" && !says_what_to_do(language, &told) {
                idle.push(format!("{code} in {}: {told}", language.tag()));
            }
        }
    }
    assert!(idle.is_empty(), "these say why, but not what to do: {idle:#?}");
}

#[test]
fn what_a_shop_or_an_account_is_refused_says_what_to_do() {
    let of_staff = codes_of("src/merchant/staff.rs", "StaffRefusal").into_iter().map(|code| format!("refusal-{code}"));
    let others = ["merchant_already_onboarded", "code_of_another_merchant", "still_owing"];
    let others = others.map(|code| format!("refusal-{code}")).into_iter();
    let keys: Vec<String> = of_staff.chain(others).chain(["problem-body_too_large".to_owned()]).collect();
    assert!(keys.len() > 7, "{keys:?}");
    for (key, language) in keys.iter().flat_map(|key| Language::ALL.map(|language| (key, language))) {
        let told = told(language, key);
        assert!(says_what_to_do(language, &told), "{key} in {}: {told}", language.tag());
    }
}

#[test]
fn every_reason_of_ours_for_refusing_an_application_is_told_in_both_languages() {
    for language in Language::ALL {
        let general = told(language, "reason-other");
        for reason in OwnReason::ALL {
            let told = told(language, &format!("reason-{}", reason.code()));
            assert_ne!(told, general, "{reason:?} is told as any other");
        }
    }
}

#[test]
fn every_notice_of_a_borrower_has_its_own_words_of_what_its_body_surely_says() {
    for language in LANGUAGES {
        let words = keys(language);
        for (kind, needed) in fenqi::notice::TO_BORROWERS {
            let said = words.get(&format!("notice-{kind}")).unwrap_or_else(|| panic!("{language} lacks notice-{kind}"));
            let extra: Vec<&String> =
                said.iter().filter(|name| *name != "day" && !needed.contains(&name.as_str())).collect();
            assert!(extra.is_empty(), "notice-{kind} in {language} wants {extra:?}, which is not surely there");
        }
    }
}

#[test]
fn every_form_that_posts_holds_the_csrf_word() {
    let mut posting = 0;
    for (path, text) in files("web/templates", ".html") {
        for form in text.split("<form").skip(1) {
            let opening = form.split('>').next().unwrap();
            let inside = form.split("</form>").next().unwrap();
            let posts = opening.contains("method=\"post\"") || opening.contains("hx-post");
            posting += u32::from(posts);
            assert!(
                !posts || inside.contains("form_parts::csrf(page)"),
                "a form in {path} lacks the CSRF word: {opening}"
            );
        }
        for refused in ["style=\"", "onclick=", "<style", "javascript:", "hx-on"] {
            assert!(!text.contains(refused), "{path} has {refused}, which the content policy refuses");
        }
    }
    assert!(posting > 30, "only {posting} forms that post were looked at");
}

#[test]
fn blanks_around_words_are_said() {
    // Fluent drops those that stand at an end.
    assert_eq!(Language::English.say("settle-holiday-and").to_string(), " and ");
    for language in LANGUAGES {
        for (path, text) in files(&format!("web/locales/{language}"), ".ftl") {
            let dropped = text.lines().find(|line| line.ends_with(' ') || line.contains(" =  "));
            assert_eq!(dropped, None, "{path} has a blank that nobody reads");
        }
    }
}
