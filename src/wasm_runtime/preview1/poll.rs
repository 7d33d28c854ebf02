//! `poll_oneoff`: where a subscription names a socket the whole call is ours, else it is the stock
//! implementation's.

use super::errno::{Errno, Outcome};
use super::memory::{self, Guest, memory, offset};
use super::sockets::Waiter;
use super::{MODULE, State};
use std::future::Future as _;
use std::task::Poll;
use std::time::Duration;
use tokio::time::Instant;
use wasmtime::{AsContextMut as _, Caller, Linker};
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::p1::wasi_snapshot_preview1::{self as stock, WasiSnapshotPreview1 as _};
use wiggle::GuestMemory;

/// Subscriptions of one call.
const SUBSCRIPTIONS_MAX: u32 = 32_768;
/// Sizes in the guest's memory.
const SUBSCRIPTION_BYTES: u32 = 48;
const EVENT_BYTES: u32 = 32;
/// The longest sleep: what is longer is as good as for ever.
const SLEEP_MAX: Duration = Duration::from_secs(10 * 365 * 86_400);

/// What a subscription waits for.
enum Wanted {
    Time(Instant),
    Descriptor(Waiter),
}

struct Subscription {
    user_data: u64,
    tag: u8,
    wanted: Wanted,
}

/// Adds the call.
pub(super) fn add(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.func_wrap_async(
        MODULE,
        "poll_oneoff",
        |mut caller: Caller<'_, State>, (input, output, count, out): (i32, i32, i32, i32)| {
            Box::new(async move {
                let read = memory::with(&mut caller, |guest, state| {
                    read(guest, state, input.cast_unsigned(), count.cast_unsigned())
                })?;
                let subscriptions = match read {
                    Ok(Some(subscriptions)) => subscriptions,
                    Ok(None) => {
                        let fuel = caller.as_context_mut().hostcall_fuel();
                        let memory = memory(&mut caller)?;
                        let (data, state) = memory.data_and_store_mut(&mut caller);
                        state.wasi.set_hostcall_fuel(fuel);
                        let mut memory = GuestMemory::Unshared(data);
                        let wasi = &mut state.wasi;
                        return stock::poll_oneoff(wasi, &mut memory, input, output, count, out)
                            .await;
                    }
                    Err(errno) => return Ok(errno.0),
                };
                let ready = wait(&subscriptions).await;
                memory::with(&mut caller, |guest, _| {
                    let written = write(guest, &ready, output.cast_unsigned(), out.cast_unsigned());
                    super::errno::code(written)
                })
            })
        },
    )?;
    Ok(())
}

/// The subscriptions, if one names a socket.
fn read(
    guest: &Guest<'_>,
    state: &mut State,
    at: u32,
    count: u32,
) -> Outcome<Option<Vec<Subscription>>> {
    if count == 0 || count > SUBSCRIPTIONS_MAX {
        return Err(Errno::INVAL);
    }
    let now = Instant::now();
    let mut ours = false;
    let mut subscriptions = Vec::new();
    for n in 0..count {
        let at = offset(at, n * SUBSCRIPTION_BYTES)?;
        let tag = guest.u8(offset(at, 8)?)?;
        let wanted = match tag {
            0 => {
                let wait = clock(guest, &mut state.wasi, at)?;
                Wanted::Time(now + wait.min(SLEEP_MAX))
            }
            1 | 2 => {
                let fd = guest.u32(offset(at, 16)?)?.cast_signed();
                ours |= state.sockets.has(fd);
                Wanted::Descriptor(state.sockets.waiter(fd, tag == 2))
            }
            _ => return Err(Errno::INVAL),
        };
        subscriptions.push(Subscription {
            user_data: guest.u64(at)?,
            tag,
            wanted,
        });
    }
    Ok(ours.then_some(subscriptions))
}

/// How long a clock subscription waits from now on.
fn clock(guest: &Guest<'_>, wasi: &mut WasiP1Ctx, at: u32) -> Outcome<Duration> {
    /// `subclockflags.subscription_clock_abstime`.
    const ABSOLUTE: u16 = 1;
    let timeout = guest.u64(offset(at, 24)?)?;
    if guest.u16(offset(at, 40)?)? & ABSOLUTE == 0 {
        return Ok(Duration::from_nanos(timeout));
    }
    // The guest's clocks are the stock implementation's: ask it what they show.
    let clock = guest.u32(offset(at, 16)?)?.cast_signed();
    let mut shown = [0; 8];
    let mut memory = GuestMemory::Unshared(&mut shown);
    match stock::clock_time_get(wasi, &mut memory, clock, 0, 0) {
        Ok(0) => Ok(Duration::from_nanos(
            timeout.saturating_sub(u64::from_le_bytes(shown)),
        )),
        _ => Err(Errno::INVAL),
    }
}

/// Waits until something is ready; returns what is.
async fn wait(subscriptions: &[Subscription]) -> Vec<(u64, u8)> {
    let times = subscriptions.iter().filter_map(|s| match s.wanted {
        Wanted::Time(time) => Some(time),
        Wanted::Descriptor(_) => None,
    });
    let mut sleep = times
        .min()
        .map(|time| Box::pin(tokio::time::sleep_until(time)));
    std::future::poll_fn(|cx| {
        if let Some(sleep) = &mut sleep {
            // Only to be woken; who is due is told by the clock below.
            let _ = sleep.as_mut().poll(cx);
        }
        let now = Instant::now();
        let mut ready = Vec::new();
        for subscription in subscriptions {
            let is_ready = match &subscription.wanted {
                Wanted::Time(time) => *time <= now,
                Wanted::Descriptor(waiter) => waiter.poll(cx).is_ready(),
            };
            if is_ready {
                ready.push((subscription.user_data, subscription.tag));
            }
        }
        if ready.is_empty() {
            Poll::Pending
        } else {
            Poll::Ready(ready)
        }
    })
    .await
}

fn write(guest: &mut Guest<'_>, ready: &[(u64, u8)], at: u32, out: u32) -> Outcome {
    let mut at = at;
    for (user_data, tag) in ready {
        guest.put(at, &[0; EVENT_BYTES as usize])?;
        guest.put(at, &user_data.to_le_bytes())?;
        guest.put(offset(at, 10)?, &[*tag])?;
        // Bytes to read are not counted; one says that there are some.
        guest.put(offset(at, 16)?, &1u64.to_le_bytes())?;
        at = offset(at, EVENT_BYTES)?;
    }
    guest.put_u32(out, u32::try_from(ready.len()).unwrap_or(u32::MAX))
}
