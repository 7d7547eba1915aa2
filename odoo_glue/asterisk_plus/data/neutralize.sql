-- A copy of the database does not dial: it has no way to a PBX, and ends no job that is open.
UPDATE asterisk_plus_server
   SET salt_api_url = NULL,
       salt_api_secret = NULL;
UPDATE asterisk_plus_job
   SET state = 'error',
       error = 'neutralized'
 WHERE state IN ('new', 'sending', 'sent');
-- A PBX that finds the copy under the original's name is not let in.
DELETE FROM res_users_apikeys
 WHERE user_id IN (SELECT user_id FROM asterisk_plus_server);
