// One reply being asked for: sends the request, takes the chunks into the message, ends it one way or another.
import { ApiError, reply } from "./api.js";
import { Incoming } from "./reply.js";
import { bodyOf, SettingError } from "./request.js";

/** A reply on its way into `message`, which answers `before`. `canThink`: the model takes an effort. */
export class Run {
  constructor(chat, message, before, canThink) {
    this.chat = chat;
    this.message = message;
    this.before = before;
    this.canThink = canThink;
    this.incoming = new Incoming(message);
    this.abort = new AbortController();
  }

  stop() {
    this.abort.abort();
  }

  /** Runs to the end; `onChunk()` after each. What goes wrong is put into the message and returned. */
  async go(onChunk) {
    const { message, incoming } = this;
    let fault = null;
    message.state = "running";
    try {
      const body = bodyOf(this.chat.settings, this.before, this.canThink);
      for await (const chunk of reply(body, this.abort.signal)) {
        incoming.take(chunk);
        onChunk();
      }
      delete message.state;
    } catch (error) {
      if (this.abort.signal.aborted) message.state = "stopped";
      else fault = this.fail(error);
    }
    incoming.end();
    // A call that was cut off cannot be answered.
    if (message.state) delete message.tool_calls;
    return fault;
  }

  fail(error) {
    this.message.state = "failed";
    const isKnown = error instanceof ApiError || error instanceof SettingError;
    this.message.error = isKnown ? error.message : `The reply could not be read: ${error.message}`;
    if (!isKnown) console.error(error);
    return error;
  }
}
