/** @odoo-module **/

import { patch } from "@web/core/utils/patch";
import { useService } from "@web/core/utils/hooks";
import { session } from "@web/session";
import { PhoneField } from "@web/views/fields/phone/phone_field";

// A click on a number calls it by the user's own phone; who has none keeps the browser's way.
patch(PhoneField.prototype, {
    setup() {
        super.setup();
        this.pbxOrm = useService("orm");
        this.pbxNotification = useService("notification");
    },
    async onPbxDial(event) {
        if (!session.asterisk_plus_phone) {
            return;
        }
        event.preventDefault();
        event.stopPropagation();
        const number = this.props.record.data[this.props.name];
        const message = await this.pbxOrm.call("asterisk_plus.user", "dial", [number]);
        this.pbxNotification.add(message, { type: "info" });
    },
});
