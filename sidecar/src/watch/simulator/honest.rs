//! How people and agents behave when nobody means harm.
//!
//! 170 people work office hours in time zones of their own, some evenings and weekends; talk to one
//! of two providers' models; keep to a handful of tools and now and then try another; are at the
//! office, at home or on a journey; and make mistakes. Ten of them are hired on the way and make
//! more. 20 agents run small jobs round the clock, a third of them with a backlog now and then. Ten
//! principals are shared by a team, at several places and through several clients at once. Of twenty
//! thousand calls one holds a token that was meant to be looked at.

use std::net::{IpAddr, Ipv4Addr};

use super::{Dice, Request, Text};

pub(super) const PRINCIPALS: usize = 200;
pub(super) const PEOPLE: std::ops::Range<usize> = 0..170;
pub(super) const AGENTS: std::ops::Range<usize> = 170..190;

pub(super) const TOOLS: [&str; 24] = [
    "get_customer",
    "list_customers",
    "search_customers",
    "update_customer",
    "add_note",
    "list_notes",
    "get_invoice",
    "list_invoices",
    "send_reminder",
    "get_order",
    "list_orders",
    "cancel_order",
    "refund_order",
    "get_contract",
    "list_contracts",
    "renew_contract",
    "get_ticket",
    "list_tickets",
    "close_ticket",
    "assign_ticket",
    "get_report",
    "list_reports",
    "schedule_call",
    "get_calendar",
];
pub(super) const PROVIDERS: [&str; 4] = ["openai", "anthropic", "mistral", "ollama"];
/// What models make up.
const NO_TOOLS: [&str; 6] =
    ["get_customers", "customer_get", "find_customer", "fetch_invoice", "get_user", "run_query"];
const CLIENTS: [&str; 3] = ["desktop", "editor", "web"];

/// One who acts, with habits.
struct Principal {
    number: usize,
    hours_east: i64,
    tools: Vec<&'static str>,
    providers: [&'static str; 2],
    office: IpAddr,
    home: IpAddr,
    hired: i64,
}

/// A stretch of work at one place through one provider.
struct Conversation {
    second: i64,
    from: IpAddr,
    provider: &'static str,
    client: &'static str,
    /// Seconds between calls, at most.
    pause: i64,
}

/// Two weeks of everybody, in order.
pub(super) fn fortnight(dice: &mut Dice) -> Vec<Request> {
    let mut all = Vec::new();
    for number in 0..PRINCIPALS {
        let who = principal(number, dice);
        for day in who.hired..14 {
            if PEOPLE.contains(&number) {
                a_persons_day(&who, day, dice, &mut all);
            } else if AGENTS.contains(&number) {
                an_agents_day(&who, day, dice, &mut all);
            } else {
                a_teams_day(&who, day, dice, &mut all);
            }
        }
    }
    all.sort_by_key(|request| request.second);
    all
}

fn principal(number: usize, dice: &mut Dice) -> Principal {
    let first = dice.between(0, 23);
    let many = dice.between(4, 9);
    let habit = |n: i64| TOOLS[usize::try_from((first + n) % 24).unwrap()];
    Principal {
        number,
        hours_east: hours_east(number),
        tools: (0..many).map(habit).collect(),
        providers: [dice.one_of(&PROVIDERS), dice.one_of(&PROVIDERS)],
        office: public(7, dice.between(0, 3), dice),
        home: public(20, dice.between(0, 255), dice),
        hired: if (160..170).contains(&number) { dice.between(3, 8) } else { 0 },
    }
}

/// How far ahead of UTC somebody lives.
pub(super) fn hours_east(number: usize) -> i64 {
    [-8, -5, -5, 0, 1, 1, 1, 2, 5, 9][number % 10]
}

fn public(second: u8, third: i64, dice: &mut Dice) -> IpAddr {
    let [third, last] = [third, dice.between(1, 254)].map(|n| u8::try_from(n).unwrap());
    Ipv4Addr::new(198, second, third, last).into()
}

/// Local hours are `hours_east` of UTC ahead. Day 0 is a Thursday.
fn a_persons_day(who: &Principal, day: i64, dice: &mut Dice, all: &mut Vec<Request>) {
    let is_weekend = matches!(day % 7, 2 | 3);
    if !dice.permille(if is_weekend { 60 } else { 940 }) {
        return;
    }
    let midnight = (day * 24 - who.hours_east) * 3_600;
    let begins = midnight + dice.between(8 * 3_600, 9 * 3_600 + 1_800);
    let (place, travels) = (dice.one_of(&[who.office, who.office, who.home]), dice.permille(20));
    for _ in 0..dice.between(4, 10) {
        let second = begins + dice.between(0, 8 * 3_600 + 1_800);
        converse(who, second, if travels { None } else { Some(place) }, dice, all);
    }
    if dice.permille(150) {
        let second = midnight + dice.between(19 * 3_600, 22 * 3_600);
        converse(who, second, Some(who.home), dice, all);
    }
}

fn converse(
    who: &Principal,
    second: i64,
    place: Option<IpAddr>,
    dice: &mut Dice,
    all: &mut Vec<Request>,
) {
    let abroad = dice.between(0, 255);
    let is_mobile = place.is_none() || dice.permille(80);
    let on_the_way = public(30, abroad, dice);
    let mut talk = Conversation {
        second,
        from: if is_mobile { on_the_way } else { place.unwrap_or(on_the_way) },
        provider: who.providers[usize::from(dice.permille(200))],
        client: CLIENTS[usize::from(dice.permille(100))],
        pause: 25,
    };
    let mut calls = dice.between(1, 12);
    let favourite = dice.one_of(&who.tools);
    // "Do this for each of them."
    let for_each = dice.permille(60);
    if for_each {
        (calls, talk.pause) = (dice.between(8, 25), 5);
    }
    for _ in 0..calls {
        let tool = match dice.permille(40) {
            _ if for_each => favourite,
            true => dice.one_of(&TOOLS),
            false => dice.one_of(&who.tools),
        };
        one_call(who, &mut talk, tool, dice, all);
    }
}

/// A job every few minutes, from a cluster or from two places of a cloud.
fn an_agents_day(who: &Principal, day: i64, dice: &mut Dice, all: &mut Vec<Request>) {
    let every = 300 + 300 * i64::try_from(who.number % 7).unwrap();
    let backlog = !is_steady(who.number) && dice.permille(90);
    let mut second = day * 86_400;
    while second < (day + 1) * 86_400 {
        let pod = u8::try_from(dice.between(1, 200)).unwrap();
        let from = match who.number % 2 {
            0 => Ipv4Addr::new(10, 1, pod, pod).into(),
            _ => dice.one_of(&[who.office, who.home]),
        };
        let provider = who.providers[0];
        let mut job = Conversation { second, from, provider, client: "agent", pause: 3 };
        let usual = 1 + i64::try_from(who.number % 3).unwrap();
        let many = if backlog && dice.permille(20) { usual * 10 } else { usual };
        for _ in 0..many {
            let tool = dice.one_of(&who.tools);
            one_call(who, &mut job, tool, dice, all);
        }
        second += every + dice.between(-20, 20);
    }
}

/// Of the agents, those that never have more to do than usual.
pub(super) fn is_steady(agent: usize) -> bool {
    agent % 3 < 2
}

fn a_teams_day(who: &Principal, day: i64, dice: &mut Dice, all: &mut Vec<Request>) {
    for _ in 0..dice.between(10, 30) {
        let second = day * 86_400 + dice.between(6 * 3_600, 19 * 3_600);
        let place = dice.one_of(&[who.office, who.office, who.home]);
        converse(who, second, Some(place), dice, all);
    }
}

/// One call that is meant, with the mistakes on the way to it.
fn one_call(
    who: &Principal,
    talk: &mut Conversation,
    tool: &'static str,
    dice: &mut Dice,
    all: &mut Vec<Request>,
) {
    let arguments = dice.next();
    let is_new = (talk.second - who.hired * 86_400) < 3 * 86_400 && who.hired > 0;
    let troubles = if is_new { 4 } else { 1 };
    let mut ask = |talk: &mut Conversation, dice: &mut Dice, tool, arguments, reason| {
        talk.second += dice.between(1, talk.pause);
        all.push(request(who, talk, (tool, arguments), reason));
    };
    match dice.between(1, 1_000) / troubles {
        0..12 => {
            for _ in 0..dice.between(1, 3) {
                ask(talk, dice, tool, arguments, "denied");
            }
            // "Perhaps the other model can do it."
            if dice.permille(40) {
                let provider = std::mem::replace(&mut talk.provider, who.providers[1]);
                talk.second += dice.between(60, 480);
                let asked = if dice.permille(250) { arguments } else { dice.next() };
                ask(talk, dice, tool, asked, "denied");
                talk.provider = provider;
            }
        }
        12..42 => {
            let tries = if dice.permille(20) { dice.between(4, 6) } else { dice.between(1, 3) };
            for _ in 0..tries {
                let unfit = dice.next();
                ask(talk, dice, tool, unfit, "invalid-arguments");
            }
            ask(talk, dice, tool, arguments, "permitted");
        }
        42..46 => {
            for _ in 0..dice.between(1, 3) {
                let made_up = dice.one_of(&NO_TOOLS);
                ask(talk, dice, made_up, arguments, "unknown-tool");
            }
        }
        46..54 => {
            ask(talk, dice, tool, arguments, "insufficient-scope");
            ask(talk, dice, tool, arguments, "permitted");
        }
        54..60 => {
            ask(talk, dice, tool, arguments, "rate-limited");
            talk.second += dice.between(5, 30);
            ask(talk, dice, tool, arguments, "permitted");
        }
        _ => ask(talk, dice, tool, arguments, "permitted"),
    }
}

fn request(
    who: &Principal,
    talk: &Conversation,
    (tool, arguments): (&'static str, u64),
    reason: &'static str,
) -> Request {
    Request {
        second: talk.second,
        principal: who.number,
        from: talk.from,
        // One an hour.
        token: i64::try_from(who.number).unwrap() * 1_000_000 + talk.second / 3_600,
        client: talk.client,
        provider: talk.provider,
        tool,
        arguments,
        reason,
        // "Why does this token not work?"
        text: if arguments.is_multiple_of(20_000) { Text::Token } else { Text::Usual },
    }
}
