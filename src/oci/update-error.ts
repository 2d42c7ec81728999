// What is wrong with the limits that an update asks for. Texts are runc's where runc has one.
import { TskataError } from '../lib/errors.ts';

export class UpdateError extends TskataError<'INVALID_UPDATE'> {
  constructor(message: string) {
    super('INVALID_UPDATE', message);
  }
}
